import t from 'tap'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import { LocalRootKey, newRootKey } from '../../src/root-keys/local.ts'

const sequence = (first: number) => Buffer.from(Array.from({ length: 32 }, (_, i) => first + i))
const ARN = 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
const VAULT = { address: 'https://vault.example.org', namespace: undefined, token: { value: 'token' } }

t.test('root keys are read from a list, the current one first', async (t) => {
  const [one, two] = [sequence(1).toString('base64'), sequence(2).toString('base64')]
  const cases: [string, string, string[]][] = [
    ['one', `a:${one}`, ['a']],
    ['two', `b:${two},a:${one}`, ['b', 'a']],
    ['spaces and a trailing comma', ` b:${two} , a:${one} ,`, ['b', 'a']],
    ['one per line, as in a file', `b:${two}\na:${one}\n`, ['b', 'a']],
    ['Windows line endings', `b:${two}\r\na:${one}\r\n`, ['b', 'a']],
    ['comments', `# the keys\nb:${two} # since May\n\n#old:${one}\na:${one}`, ['b', 'a']],
    ['without padding', `a:${one.replace('=', '')}`, ['a']],
    ['URL-safe', `a:${Buffer.alloc(32, 0xfb).toString('base64url')}`, ['a']],
    ['AWS KMS by id', 'a:aws-kms:1234abcd-12ab-34cd-56ef-1234567890ab', ['a']],
    ['AWS KMS, a multi-region key', 'a:aws-kms:mrk-1234abcd12ab34cd56ef1234567890ab', ['a']],
    ['AWS KMS by alias', 'a:aws-kms:alias/latchkey/prod', ['a']],
    ['AWS KMS by ARN', `c:aws-kms:${ARN},a:${one}`, ['c', 'a']],
    [
      'AWS KMS by the ARN of an alias',
      'a:aws-kms:arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/x',
      ['a']
    ],
    ['Vault', `a:vault-transit:latchkey,b:vault-transit:team/keys/latchkey`, ['a', 'b']]
  ]
  for (const [name, list, names] of cases) {
    t.same(
      parseRootKeys(list, () => VAULT).map((key) => key.name),
      names,
      name
    )
  }
  t.equal(parseRootKeys(`a:${one}`)[0]!.fingerprint, new LocalRootKey('x', sequence(1)).fingerprint)
  const urlSafe = parseRootKeys(`a:${Buffer.alloc(32, 0xfb).toString('base64url')}`)[0]!
  t.equal(urlSafe.fingerprint, new LocalRootKey('x', Buffer.alloc(32, 0xfb)).fingerprint)
})

t.test('an invalid list is an error of one line without any part of a key', async (t) => {
  const key = Buffer.from('a key that nobody must ever see.').toString('base64')
  const short = Buffer.from('a key that nobody must ever see').toString('base64')
  const cases: [string, string][] = [
    ['nothing', ''],
    ['only commas', ' , ,\n'],
    ['no name', key],
    ['an empty name', `:${key}`],
    ['a name with a space', `my key:${key}`],
    ['a name too long', `${'n'.repeat(65)}:${key}`],
    ['name and key swapped', `${key}:name`],
    ['no key', 'name:'],
    ['31 bytes', `name:${short}`],
    ['33 bytes', `name:${Buffer.from('a key that nobody must ever see.!').toString('base64')}`],
    ['hex', `name:${Buffer.from('a key that nobody must ever see.').toString('hex')}`],
    ['not base64', `name:${key.replace('Y', '!')}`],
    ['too much padding', `name:${key}=`],
    ['a space within', `name:${key.slice(0, 20)} ${key.slice(20)}`],
    ['quotes', `"name:${key}"`],
    ['the second one wrong', `a:${key},b:${short}`],
    ['a comment within a key', `name:${key.slice(0, 20)}#${key.slice(20)}`],
    ['a comment that touches the key', `name:${key}#note`],
    ['an unknown kind', `name:gcp-kms:${key}`],
    ['AWS KMS without a key', 'name:aws-kms:'],
    ['AWS KMS without a colon', 'name:aws-kms'],
    ['AWS KMS with a key in base64', `name:aws-kms:${key}`],
    ["another service's ARN", 'name:aws-kms:arn:aws:s3:eu-west-1:111122223333:key/abc'],
    ['Vault without a key', 'name:vault-transit:'],
    ['Vault with a path outside of the mount', 'name:vault-transit:transit/../sys/key'],
    ['Vault with a query', 'name:vault-transit:key?x=1'],
    ['Vault with a trailing slash', 'name:vault-transit:transit/'],
    ['a semicolon as separator', `a:${key};b:${key}`],
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
      t.notMatch(message, 'nobody', `${name}: the decoded key`)
    }
  }
  t.throws(() => parseRootKeys(`a:${key},b:${short}`), /entry 2/, 'says which entry')
})

t.test(
  'the fingerprint of a remote key depends on neither its name in the list nor the address',
  async (t) => {
    const fingerprintOf = (entry: string, vault = VAULT) => parseRootKeys(entry, () => vault)[0]!.fingerprint
    const entries = [
      `a:aws-kms:${ARN}`,
      'a:aws-kms:alias/latchkey',
      'a:aws-kms:latchkey',
      'a:vault-transit:latchkey',
      'a:vault-transit:team/latchkey'
    ]
    t.equal(new Set(entries.map((entry) => fingerprintOf(entry))).size, entries.length, 'they differ')
    for (const entry of entries) {
      t.match(fingerprintOf(entry), /^[0-9a-f]{16}$/)
      t.equal(fingerprintOf(entry.replace('a:', 'renamed:')), fingerprintOf(entry))
    }
    const moved = { ...VAULT, address: 'https://elsewhere.example.org', token: { value: 'other' } }
    t.equal(
      fingerprintOf('a:vault-transit:latchkey', moved),
      fingerprintOf('a:vault-transit:transit/latchkey')
    )
    // Databases contain these fingerprints.
    t.same(
      [fingerprintOf(`a:aws-kms:${ARN}`), fingerprintOf('a:vault-transit:latchkey')],
      ['06bb28a251a607d0', 'c89abe351cb482dc']
    )
  }
)

t.test('a key in Vault is refused without settings for Vault', async (t) => {
  t.throws(() => parseRootKeys('a:vault-transit:latchkey'), RangeError)
})
