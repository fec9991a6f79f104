import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openKeyring } from '../../src/features/keys/open-keyring.ts'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { Client } from '../helpers/client.ts'
import { Contract, type OpenapiDocument } from '../helpers/contract.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { startKms } from '../helpers/kms.ts'
import { startProcess } from '../helpers/process.ts'
import { newCredential, newType, reveal } from '../helpers/things.ts'
import { startVault } from '../helpers/vault.ts'

const ADMIN = { email: 'root@example.org', password: 'a long enough one' }
type Env = Record<string, string>

/** A database of its own, and starts of the service on it. */
async function newPlace(t: Test) {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const env = {
    DATABASE_URL: database.url,
    LATCHKEY_ADMIN_EMAIL: ADMIN.email,
    LATCHKEY_ADMIN_PASSWORD: ADMIN.password
  }
  const cwd = t.testdir()
  return {
    ...database,
    cwd,
    /** The service with these keys, and its administrator, signed in. */
    async serve(keys: Env) {
      const service = startProcess(t, cwd, { ...env, ...keys })
      const [, origin = ''] = await service.printed(/listens on (http:\S+)/)
      const document = (await (await fetch(`${origin}/openapi.json`)).json()) as OpenapiDocument
      const admin = new Client(origin, new Contract(document))
      await admin.signIn(ADMIN)
      const stop = async () => {
        service.child.kill('SIGINT')
        t.equal(await service.exited, 0, service.output())
      }
      return { admin, stop }
    },
    /** The one line with which a start ends that cannot be. */
    async refused(keys: Env): Promise<string> {
      const service = startProcess(t, cwd, { ...env, ...keys })
      t.equal(await service.exited, 1)
      t.equal(service.output().trim().split('\n').length, 1, service.output())
      return service.output().trim()
    },
    wrappings: () =>
      database.db.selectFrom('data_keys').select(['number', 'root_key_fingerprint', 'wrapped']).execute()
  }
}

t.test('what runs needs KMS no more; what starts without it says why it cannot, and ends', async (t) => {
  const place = await newPlace(t)
  const kms = await startKms(t)
  const keys: Env = { ...kms.env, LATCHKEY_ROOT_KEYS: `prod:aws-kms:${kms.newKey('latchkey')}` }
  const { admin } = await place.serve(keys)
  const type = await newType(admin)
  const before = await newCredential(admin, type)
  const calls = kms.calls.length
  await kms.stop()
  t.match(await reveal(admin, before.id), { password: 'hunter2 hunter2' })
  const after = await newCredential(admin, type)
  t.match(await reveal(admin, after.id), { password: 'hunter2 hunter2' })
  t.equal(kms.calls.length, calls, 'no request asks KMS')

  const since = performance.now()
  const line = await place.refused(keys)
  const seconds = (performance.now() - since) / 1000
  t.match(line, /^latchkey: AWS KMS key "prod" cannot be used: connect ECONNREFUSED 127\.0\.0\.1:\d+$/)
  t.ok(seconds < 20, `${seconds.toFixed(1)} s, of which the start itself takes some`)
  t.notMatch(line, keys.AWS_SECRET_ACCESS_KEY!)

  await kms.restart()
  const other = await place.refused({ ...keys, LATCHKEY_ROOT_KEYS: `prod:aws-kms:${kms.newKey()}` })
  t.match(other, /^latchkey: LATCHKEY_ROOT_KEYS .*needed [0-9a-f]{16}; given [0-9a-f]{16} \(prod\)$/)
})

t.test('a move from a key of one kind to another leaves every value readable', async (t) => {
  const place = await newPlace(t)
  const kms = await startKms(t)
  const vault = await startVault(t)
  vault.rotate('latchkey')
  const [first, last] = [newRootKey('first'), newRootKey('last')]
  const inKms = `kms:aws-kms:${kms.newKey()}`
  const inVault = 'vault:vault-transit:latchkey'
  const file = join(place.cwd, 'root.keys')
  await writeFile(file, `${last}\n${inVault} # goes after this start\n`, { mode: 0o600 })

  const ids: string[] = []
  const steps: [list: Env, fingerprintOf: string][] = [
    [{ LATCHKEY_ROOT_KEYS: first }, first],
    [{ LATCHKEY_ROOT_KEYS: `${inKms},${first}` }, inKms],
    [{ LATCHKEY_ROOT_KEYS: inKms }, inKms],
    [{ LATCHKEY_ROOT_KEYS: `${inVault},${inKms}` }, inVault],
    [{ LATCHKEY_ROOT_KEYS_FILE: file }, last],
    [{ LATCHKEY_ROOT_KEYS: last }, last]
  ]
  for (const [list, current] of steps) {
    const { admin, stop } = await place.serve({ ...kms.env, ...vault.env, ...list })
    ids.push((await newCredential(admin, await newType(admin))).id)
    for (const id of ids) t.match(await reveal(admin, id), { password: 'hunter2 hunter2' })
    const settings = { address: vault.origin, namespace: undefined, token: { value: 'x' } }
    const { fingerprint } = parseRootKeys(current, () => settings)[0]!
    t.match(
      await place.wrappings(),
      [{ number: 1, root_key_fingerprint: fingerprint }],
      current.split(':')[0]
    )
    await stop()
  }
  t.match(
    await place.refused({ LATCHKEY_ROOT_KEYS: first }),
    /needed /,
    'the first key opens nothing any more'
  )
})

t.test('a move whose new key cannot be used changes nothing', async (t) => {
  const place = await newPlace(t)
  const old = newRootKey('old')
  const [root] = parseRootKeys(old)
  await openKeyring(place.db, [root!])
  const before = await place.wrappings()
  const kms = await startKms(t)
  const keys = { ...kms.env, LATCHKEY_ROOT_KEYS: `new:aws-kms:${kms.newKey()},${old}` }
  kms.deny('Decrypt')
  t.match(await place.refused(keys), /^latchkey: AWS KMS key "new" cannot be used: AccessDeniedException: /)
  t.same(await place.wrappings(), before)
})

t.test('replicas that start at once with a slow keeper make one data key between them', async (t) => {
  const place = await newPlace(t)
  const vault = await startVault(t)
  vault.rotate('latchkey')
  vault.faults.push('silent')
  const settings = { address: vault.origin, namespace: undefined, token: { value: vault.token } }
  const [root] = parseRootKeys('main:vault-transit:latchkey', () => settings)
  const rings = await Promise.all([1, 2, 3].map(() => openKeyring(place.db, [root!])))
  t.equal((await place.wrappings()).length, 1)
  const context = { credentialId: 'a', environment: 'main', sealedRevision: 1 }
  const sealed = rings[0]!.values(context).seal(['field'], Buffer.from('secret'))
  for (const ring of rings) t.equal(ring.values(context).open(['field'], sealed).toString(), 'secret')
})

t.test(
  'a file of keys that others may read stops the start',
  { skip: process.platform === 'win32' },
  async (t) => {
    const place = await newPlace(t)
    const key = newRootKey('main')
    const file = join(place.cwd, 'root.keys')
    await writeFile(file, key)
    await chmod(file, 0o644)
    const line = await place.refused({ LATCHKEY_ROOT_KEYS_FILE: file })
    t.match(line, /^latchkey: LATCHKEY_ROOT_KEYS_FILE has to be a private file; .*others may read or write/)
    t.notMatch(line, key.split(':')[1]!.slice(0, 8))
    const both = await place.refused({ LATCHKEY_ROOT_KEYS_FILE: file, LATCHKEY_ROOT_KEYS: key })
    t.match(both, /^latchkey: LATCHKEY_ROOT_KEYS and LATCHKEY_ROOT_KEYS_FILE are both set/)
  }
)
