import { inspect } from 'node:util'
import t from 'tap'
import { newRootKey, parseRootKeys, RootKey } from '../../src/crypto/root-keys.ts'

const sequence = (first: number) => Buffer.from(Array.from({ length: 32 }, (_, i) => first + i))
const failed = { name: 'DecryptionFailed' }
const root = new RootKey('2026a', sequence(0x80))
const DATA_KEY = sequence(0x40)

// Made once by another program, from the design alone: databases hold such rows.
const FINGERPRINT = '3e676b16088029e2'
const WRAPPED = Buffer.from(
  '01a0a1a2a3a4a5a6a7a8a9aaabd0a5a70ec45e724d6ae2b1910bbf21eea0eb2f0959cc38c4413c53ba4bfecb919a4e60307ae547a2d4b551e659519cc5',
  'hex'
)

t.test('a data key that was wrapped by the first release unwraps for ever', async (t) => {
  t.equal(root.fingerprint, FINGERPRINT)
  t.same(root.unwrap(7, WRAPPED), DATA_KEY)
})

t.test('a wrapped data key unwraps, and is wrapped differently each time', async (t) => {
  const [one, two] = [root.wrap(7, DATA_KEY), root.wrap(7, DATA_KEY)]
  t.equal(one.length, 1 + 12 + 32 + 16)
  t.equal(one[0], 1)
  t.notSame(one, two)
  t.same(root.unwrap(7, one), DATA_KEY)
  t.same(root.unwrap(7, two), DATA_KEY)
  t.notOk(one.includes(DATA_KEY))
})

t.test('a wrapped key that was changed, cut or moved does not unwrap', async (t) => {
  for (let i = 0; i < WRAPPED.length; i++) {
    const bent = Buffer.from(WRAPPED)
    bent[i]! ^= 1
    t.throws(() => root.unwrap(7, bent), failed, `byte ${i} changed`)
    t.throws(() => root.unwrap(7, WRAPPED.subarray(0, i)), failed, `cut at ${i}`)
    t.throws(() => root.unwrap(7, WRAPPED.subarray(i + 1)), failed, `begins after ${i}`)
  }
  t.throws(() => root.unwrap(8, WRAPPED), failed, 'another number')
  t.throws(() => new RootKey('2026a', sequence(0x81)).unwrap(7, WRAPPED), failed, 'another root key')
  t.same(new RootKey('renamed', sequence(0x80)).unwrap(7, WRAPPED), DATA_KEY, 'a name is only a name')
})

t.test('the fingerprint tells keys apart, and is no part of them', async (t) => {
  const other = new RootKey('2026a', sequence(0x81))
  t.not(other.fingerprint, root.fingerprint)
  t.match(root.fingerprint, /^[0-9a-f]{16}$/)
  t.notOk(sequence(0x80).toString('hex').includes(root.fingerprint))
})

t.test('root keys are read from a list, the current one first', async (t) => {
  const [one, two] = [sequence(1).toString('base64'), sequence(2).toString('base64')]
  const cases: [string, string, string[]][] = [
    ['one', `a:${one}`, ['a']],
    ['two', `b:${two},a:${one}`, ['b', 'a']],
    ['spaces and a comma too many', ` b:${two} , a:${one} ,`, ['b', 'a']],
    ['one a line, as in a file', `b:${two}\na:${one}\n`, ['b', 'a']],
    ['lines of Windows', `b:${two}\r\na:${one}\r\n`, ['b', 'a']],
    ['without padding', `a:${one.replace('=', '')}`, ['a']],
    ['URL-safe', `a:${Buffer.alloc(32, 0xfb).toString('base64url')}`, ['a']]
  ]
  for (const [name, list, names] of cases) {
    t.same(
      parseRootKeys(list).map((key) => key.name),
      names,
      name
    )
  }
  t.equal(parseRootKeys(`a:${one}`)[0]!.fingerprint, new RootKey('x', sequence(1)).fingerprint)
  const urlSafe = parseRootKeys(`a:${Buffer.alloc(32, 0xfb).toString('base64url')}`)[0]!
  t.equal(urlSafe.fingerprint, new RootKey('x', Buffer.alloc(32, 0xfb)).fingerprint)
})

t.test('a list that is wrong is refused, in a sentence without any part of a key', async (t) => {
  const key = Buffer.from('a key that nobody must ever see.').toString('base64')
  const short = Buffer.from('a key that nobody must ever see').toString('base64')
  const cases: [string, string][] = [
    ['nothing', ''],
    ['only commas', ' , ,\n'],
    ['no name', key],
    ['an empty name', `:${key}`],
    ['a name with a space', `my key:${key}`],
    ['a name too long', `${'n'.repeat(65)}:${key}`],
    ['name and key changed about', `${key}:name`],
    ['no key', 'name:'],
    ['31 bytes', `name:${short}`],
    ['33 bytes', `name:${Buffer.from('a key that nobody must ever see.!').toString('base64')}`],
    ['hex', `name:${Buffer.from('a key that nobody must ever see.').toString('hex')}`],
    ['not base64', `name:${key.replace('Y', '!')}`],
    ['padding too many', `name:${key}=`],
    ['a space within', `name:${key.slice(0, 20)} ${key.slice(20)}`],
    ['quotes', `"name:${key}"`],
    ['the second one wrong', `a:${key},b:${short}`],
    ['a semicolon between', `a:${key};b:${key}`],
    ['one name twice', `a:${key},a:${newRootKey('b').slice(2)}`]
  ]
  for (const [name, list] of cases) {
    try {
      parseRootKeys(list)
      t.fail(name)
    } catch (error) {
      const { message, stack } = error as Error
      t.type(error, RangeError, name)
      t.notMatch(message, '\n', `${name}: one line`)
      t.notMatch(`${message}${stack}`, key.slice(0, 6), `${name}: the beginning`)
      t.notMatch(`${message}${stack}`, key.slice(-8, -2), `${name}: the end`)
      t.notMatch(message, 'nobody', `${name}: in clear`)
    }
  }
  t.throws(() => parseRootKeys(`a:${key},b:${short}`), /entry 2/, 'says which entry')
})

t.test('a new root key is 32 bytes that were never there before', async (t) => {
  const made = Array.from({ length: 100 }, () => newRootKey('name'))
  t.equal(new Set(made).size, 100)
  t.equal(parseRootKeys(made[0]!)[0]!.name, 'name')
})

t.test('a root key does not print', async (t) => {
  const bytes = Buffer.alloc(32, 1)
  const made = new RootKey('name', bytes)
  const deep = { depth: 10, showHidden: true }
  const printed = [
    JSON.stringify(made),
    JSON.stringify({ within: [made] }),
    inspect(made, deep),
    inspect({ within: [made] }, deep),
    String(made),
    `${made}`,
    JSON.stringify({ ...made }),
    Object.values(made).map(String).join()
  ].join('\n')
  for (const trace of [bytes.toString('base64').slice(0, 8), '010101', '01 01', '1,1', '1, 1']) {
    t.notMatch(printed, trace, `no "${trace}"`)
  }
  t.match(printed, made.fingerprint)
})

t.test('a root key does not change with the buffer it was made of, and has 32 bytes', async (t) => {
  const bytes = sequence(0x80)
  const made = new RootKey('name', bytes)
  bytes.fill(0)
  t.same(made.unwrap(7, WRAPPED), DATA_KEY)
  t.throws(() => new RootKey('name', Buffer.alloc(31)), RangeError)
  t.throws(() => new RootKey('name', Buffer.alloc(33)), RangeError)
  t.throws(() => new RootKey('', Buffer.alloc(32)), RangeError)
})
