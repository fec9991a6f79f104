import { inspect } from 'node:util'
import t from 'tap'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import { LocalRootKey, newRootKey } from '../../src/root-keys/local.ts'

const sequence = (first: number) => Buffer.from(Array.from({ length: 32 }, (_, i) => first + i))
const failed = { name: 'DecryptionFailed' }
const root = new LocalRootKey('2026a', sequence(0x80))
const DATA_KEY = sequence(0x40)

// Made by an independent implementation. These values must always work, because databases contain such rows.
const FINGERPRINT = '3e676b16088029e2'
const WRAPPED = Buffer.from(
  '01a0a1a2a3a4a5a6a7a8a9aaabd0a5a70ec45e724d6ae2b1910bbf21eea0eb2f' +
    '0959cc38c4413c53ba4bfecb919a4e60307ae547a2d4b551e659519cc5',
  'hex'
)

t.test('a data key wrapped by the first release unwraps', async (t) => {
  t.equal(root.fingerprint, FINGERPRINT)
  t.same(await root.unwrap(7, WRAPPED), DATA_KEY)
})

t.test('a data key unwraps, and every wrapping of it is different', async (t) => {
  const [one, two] = [await root.wrap(7, DATA_KEY), await root.wrap(7, DATA_KEY)]
  t.equal(one.length, 1 + 12 + 32 + 16)
  t.equal(one[0], 1)
  t.notSame(one, two)
  t.same(await root.unwrap(7, one), DATA_KEY)
  t.same(await root.unwrap(7, two), DATA_KEY)
  t.notOk(one.includes(DATA_KEY))
})

t.test('a wrapped key that was changed, cut or moved does not unwrap', async (t) => {
  for (let i = 0; i < WRAPPED.length; i++) {
    const bent = Buffer.from(WRAPPED)
    bent[i]! ^= 1
    await t.rejects(root.unwrap(7, bent), failed, `byte ${i} changed`)
    await t.rejects(root.unwrap(7, WRAPPED.subarray(0, i)), failed, `cut at ${i}`)
    await t.rejects(root.unwrap(7, WRAPPED.subarray(i + 1)), failed, `begins after ${i}`)
  }
  await t.rejects(root.unwrap(8, WRAPPED), failed, 'another number')
  await t.rejects(new LocalRootKey('2026a', sequence(0x81)).unwrap(7, WRAPPED), failed, 'another root key')
  t.same(
    await new LocalRootKey('renamed', sequence(0x80)).unwrap(7, WRAPPED),
    DATA_KEY,
    'the name does not matter'
  )
})

t.test('the fingerprint differs between keys and is not part of them', async (t) => {
  const other = new LocalRootKey('2026a', sequence(0x81))
  t.not(other.fingerprint, root.fingerprint)
  t.match(root.fingerprint, /^[0-9a-f]{16}$/)
  t.notOk(sequence(0x80).toString('hex').includes(root.fingerprint))
})

t.test('new root keys are random', async (t) => {
  const made = Array.from({ length: 100 }, () => newRootKey('name'))
  t.equal(new Set(made).size, 100)
  t.equal(parseRootKeys(made[0]!)[0]!.name, 'name')
})

t.test('a root key does not print its bytes', async (t) => {
  const bytes = Buffer.alloc(32, 1)
  const made = new LocalRootKey('name', bytes)
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

t.test('a root key has 32 bytes and keeps a copy of them', async (t) => {
  const bytes = sequence(0x80)
  const made = new LocalRootKey('name', bytes)
  bytes.fill(0)
  t.same(await made.unwrap(7, WRAPPED), DATA_KEY)
  t.throws(() => new LocalRootKey('name', Buffer.alloc(31)), RangeError)
  t.throws(() => new LocalRootKey('name', Buffer.alloc(33)), RangeError)
})
