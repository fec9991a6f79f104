import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { startVault, type Vault, type VaultFault } from '../helpers/vault.ts'

const DATA_KEY = randomBytes(32)
const failed = { name: 'DecryptionFailed' }

async function newRootKey(t: Test, options: { namespace?: string } = {}) {
  const vault = await startVault(t, options)
  vault.rotate('latchkey')
  return { vault, root: rootOf(vault) }
}

function rootOf(vault: Vault, env: Record<string, string> = {}, key = 'latchkey') {
  return readConfig({ LATCHKEY_ROOT_KEYS: `prod:vault-transit:${key}`, ...vault.env, ...env }).rootKeys![0]!
}

/** Returns the error message. Asserts that the error contains no secret. */
async function failureOf(t: Test, work: Promise<unknown>, vault: Vault): Promise<string> {
  const error = await work.then(
    () => t.fail('did not fail'),
    (caught: Error) => caught
  )
  t.match(error, { name: 'RootKeyUnavailable' })
  const all = inspect(error, { depth: 10, showHidden: true })
  for (const secret of [vault.token, DATA_KEY.toString('base64'), DATA_KEY.toString('hex')]) {
    t.notOk(all.includes(secret.slice(0, 12)), 'contains no secret')
  }
  const { message } = error as Error
  t.match(message, /^Vault transit key "prod" cannot be used: ./)
  t.notMatch(message, '\n', 'one line')
  return message
}

t.test(
  'a data key is wrapped and unwrapped by Vault, also after a rotation of the key in Vault',
  async (t) => {
    const { vault, root } = await newRootKey(t)
    const wrapped = await root.wrap(1, DATA_KEY)
    t.match(wrapped.subarray(1).toString(), /^vault:v1:/)
    t.same(vault.calls, ['encrypt', 'decrypt'], 'the wrapped key is verified')
    vault.rotate('latchkey')
    t.same(await root.unwrap(1, wrapped), DATA_KEY)
    t.match((await root.wrap(1, DATA_KEY)).subarray(1).toString(), /^vault:v2:/)
    t.same(await rootOf(vault, {}, 'transit/latchkey').unwrap(1, wrapped), DATA_KEY, 'with its mount')
    const slash = `${vault.env.VAULT_ADDR}/`
    t.same(await rootOf(vault, { VAULT_ADDR: slash }).unwrap(1, wrapped), DATA_KEY, 'address with a slash')
  }
)

t.test('a wrapped data key does not unwrap for another number, under another key, or changed', async (t) => {
  const { vault, root } = await newRootKey(t)
  vault.rotate('other')
  const wrapped = await root.wrap(1, DATA_KEY)
  for (const status of [400, 500]) {
    vault.unopened = status
    await t.rejects(root.unwrap(2, wrapped), failed, `another number, answered by ${status}`)
    await t.rejects(rootOf(vault, {}, 'other').unwrap(1, wrapped), failed, 'another key')
  }
  for (const i of [0, 1, 20, wrapped.length - 6]) {
    const bent = Buffer.from(wrapped)
    bent[i]! ^= 1
    await t.rejects(root.unwrap(1, bent), failed, `byte ${i} changed`)
  }
  await t.rejects(root.unwrap(1, Buffer.alloc(0)), failed)
})

t.test('temporary failures are retried, up to three attempts; others are not', async (t) => {
  const { vault, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  for (const faults of [['throttled'], ['sealed', 'throttled']] as VaultFault[][]) {
    vault.faults.push(...faults)
    t.same(await root.unwrap(1, wrapped), DATA_KEY, faults.join())
  }
  const lasting: [VaultFault[], attempts: number, RegExp][] = [
    [['sealed', 'sealed', 'sealed'], 3, /503 Vault is sealed/],
    [['throttled', 'throttled', 'throttled'], 3, /429 .*quota/],
    [['garbage'], 1, /is not from Vault/],
    [['redirected'], 1, /redirect \(307\), which is not followed/],
    [['echo'], 1, /400 /],
    [['short key'], 1, /not a data key/]
  ]
  for (const [faults, attempts, message] of lasting) {
    vault.calls.length = 0
    vault.faults.push(...faults)
    t.match(await failureOf(t, root.unwrap(1, wrapped), vault), message)
    t.equal(vault.calls.length, attempts, faults.join())
  }
})

t.test('no error quotes a response that echoes what was sent', async (t) => {
  const { vault, root } = await newRootKey(t)
  for (const fault of ['echo', 'garbage', 'redirected', 'short key'] as const) {
    vault.faults.push(fault)
    await failureOf(t, root.wrap(1, DATA_KEY), vault)
  }
})

t.test('three attempts on a silent Vault fail within ten seconds', async (t) => {
  const { vault, root } = await newRootKey(t)
  vault.faults.push('silent', 'silent', 'silent')
  const since = performance.now()
  t.match(await failureOf(t, root.wrap(1, DATA_KEY), vault), /no response within 2\.0 s/)
  t.equal(vault.calls.length, 3)
  t.ok(performance.now() - since < 10_000, 'in time')
})

t.test('the error for an unreachable Vault gives the reason', async (t) => {
  const { vault, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  await vault.stop()
  t.match(await failureOf(t, root.unwrap(1, wrapped), vault), /connect ECONNREFUSED 127\.0\.0\.1:\d+$/)
  await vault.restart()
  t.same(await root.unwrap(1, wrapped), DATA_KEY, 'Vault is used again when it is back')
})

t.test('the errors for an unknown key, an unknown mount and a wrong token give the reason', async (t) => {
  const { vault, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  const none = rootOf(vault, {}, 'none')
  t.match(await failureOf(t, none.wrap(1, DATA_KEY), vault), /403 permission denied/, 'no key is created')
  t.match(await failureOf(t, none.unwrap(1, wrapped), vault), /400 encryption key not found/)
  const elsewhere = rootOf(vault, {}, 'elsewhere/latchkey')
  t.match(await failureOf(t, elsewhere.wrap(1, DATA_KEY), vault), /404 no handler for route/)
  vault.calls.length = 0
  const wrong = rootOf(vault, { VAULT_TOKEN: 'wrong' })
  t.match(await failureOf(t, wrong.unwrap(1, wrapped), vault), /403 permission denied/)
})

t.test('the namespace is sent', async (t) => {
  const { vault, root } = await newRootKey(t, { namespace: 'team/keys' })
  t.same(await root.unwrap(1, await root.wrap(1, DATA_KEY)), DATA_KEY)
  const without = rootOf(vault, { VAULT_NAMESPACE: '' })
  t.match(await failureOf(t, without.wrap(1, DATA_KEY), vault), /404 /)
})

t.test('a token in a file is read at each use, since an agent renews it', async (t) => {
  const { vault } = await newRootKey(t)
  const file = join(t.testdir(), 'token')
  const root = rootOf(vault, { VAULT_TOKEN: '', VAULT_TOKEN_FILE: file })
  t.match(await failureOf(t, root.wrap(1, DATA_KEY), vault), /VAULT_TOKEN_FILE cannot be read \(ENOENT\)/)
  await writeFile(file, `${vault.token}\n`)
  const wrapped = await root.wrap(1, DATA_KEY)
  await writeFile(file, vault.renewToken())
  t.same(await root.unwrap(1, wrapped), DATA_KEY)
  for (const text of ['', 'two words', 'line\r\nx-other: header']) {
    await writeFile(file, text)
    const message = await failureOf(t, root.unwrap(1, wrapped), vault)
    t.match(message, /VAULT_TOKEN_FILE contains no token/)
    if (text) t.notMatch(message, text)
  }
  await rm(file)
})

t.test('a root key does not print its credentials', async (t) => {
  const { vault, root } = await newRootKey(t)
  const printed = `${inspect(root, { depth: 10, showHidden: true })}${JSON.stringify(root)}`
  t.match(printed, root.fingerprint)
  t.notMatch(printed, vault.token.slice(4, 14))
})
