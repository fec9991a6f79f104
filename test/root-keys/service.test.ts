import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { prepareKeyring } from '../../src/features/keys/open-keyring.ts'
import { rotateDataKey } from '../../src/features/keys/rotate.ts'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { newCredential, newType, reveal } from '../helpers/fixtures.ts'
import { operator } from '../helpers/keys.ts'
import { startKms } from '../helpers/kms.ts'
import { serviceStarts } from '../helpers/service-starts.ts'
import { startVault } from '../helpers/vault.ts'

t.test('a running service does not need KMS; a start without it fails with the reason', async (t) => {
  const starts = await serviceStarts(t)
  const kms = await startKms(t)
  const keys: Record<string, string> = {
    ...kms.env,
    LATCHKEY_ROOT_KEYS: `prod:aws-kms:${kms.newKey('latchkey')}`
  }
  const { admin } = await starts.serve(keys)
  const type = await newType(admin)
  const before = await newCredential(admin, type)
  const calls = kms.calls.length
  await kms.stop()
  t.match(await reveal(admin, before.id), { password: 'hunter2 hunter2' })
  const after = await newCredential(admin, type)
  t.match(await reveal(admin, after.id), { password: 'hunter2 hunter2' })
  t.equal(kms.calls.length, calls, 'no request asks KMS')

  const since = performance.now()
  const line = await starts.lastLine(keys)
  const seconds = (performance.now() - since) / 1000
  t.match(line, /^latchkey: AWS KMS key "prod" cannot be used: connect ECONNREFUSED 127\.0\.0\.1:\d+$/)
  t.ok(seconds < 30, `${seconds.toFixed(1)} s, of which the start itself takes most`)
  t.notMatch(line, keys.AWS_SECRET_ACCESS_KEY!)

  await kms.restart()
  const other = await starts.refusal({ ...keys, LATCHKEY_ROOT_KEYS: `prod:aws-kms:${kms.newKey()}` })
  t.match(other, /^LATCHKEY_ROOT_KEYS .*needed [0-9a-f]{16}; given [0-9a-f]{16} \(prod\)$/)
})

t.test('a move to a root key that cannot be used changes nothing', async (t) => {
  const starts = await serviceStarts(t)
  const old = newRootKey('old')
  const [root] = parseRootKeys(old)
  await prepareKeyring(starts.db, [root!])
  const before = await starts.wrappings()
  const kms = await startKms(t)
  const keys = { ...kms.env, LATCHKEY_ROOT_KEYS: `new:aws-kms:${kms.newKey()},${old}` }
  kms.deny('Decrypt')
  t.match(await starts.refusal(keys), /^AWS KMS key "new" cannot be used: AccessDeniedException: /)
  t.same(await starts.wrappings(), before)
})

t.test('a key of the same name in another Vault is refused before it wraps a data key', async (t) => {
  const starts = await serviceStarts(t)
  const [ours, theirs] = [await startVault(t), await startVault(t)]
  const rootsOf = (vault: typeof ours) => {
    vault.rotate('latchkey')
    const settings = { address: vault.origin, namespace: undefined, token: { value: vault.token } }
    return parseRootKeys('main:vault-transit:latchkey', () => settings)
  }
  const [right, wrong] = [rootsOf(ours), rootsOf(theirs)]
  t.equal(right[0]!.fingerprint, wrong[0]!.fingerprint)
  await prepareKeyring(starts.db, right)
  const refusal = { name: 'WrongRootKey', message: /this is the KMS, Vault or account that the service uses/ }
  await t.rejects(rotateDataKey(starts.db, wrong[0]!, operator, 'asked'), refusal)
  await t.rejects(prepareKeyring(starts.db, wrong), refusal)
  t.equal(await rotateDataKey(starts.db, right[0]!, operator, 'asked'), 2)
})

t.test('replicas that start at the same time with a slow Vault create one data key', async (t) => {
  const starts = await serviceStarts(t)
  const vault = await startVault(t)
  vault.rotate('latchkey')
  vault.faults.push('silent')
  const settings = { address: vault.origin, namespace: undefined, token: { value: vault.token } }
  const [root] = parseRootKeys('main:vault-transit:latchkey', () => settings)
  const rings = await Promise.all([1, 2, 3].map(() => prepareKeyring(starts.db, [root!])))
  t.equal((await starts.wrappings()).length, 1)
  const context = { credentialId: 'a', environment: 'main', sealedRevision: 1 }
  const sealed = rings[0]!.values(context).seal(['field'], Buffer.from('secret'))
  for (const ring of rings) t.equal(ring.values(context).open(['field'], sealed).toString(), 'secret')
})

t.test(
  'the start fails if others may read the file of root keys',
  { skip: process.platform === 'win32' },
  async (t) => {
    const starts = await serviceStarts(t)
    const key = newRootKey('main')
    const file = join(starts.cwd, 'root.keys')
    await writeFile(file, key)
    await chmod(file, 0o644)
    const line = await starts.lastLine({ LATCHKEY_ROOT_KEYS_FILE: file })
    t.match(line, /^latchkey: LATCHKEY_ROOT_KEYS_FILE must name a private file: .* by other users/)
    t.notMatch(line, key.split(':')[1]!.slice(0, 8))
  }
)
