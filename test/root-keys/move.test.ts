import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { newCredential, newType, reveal } from '../helpers/fixtures.ts'
import { startKms } from '../helpers/kms.ts'
import { serviceStarts } from '../helpers/service-starts.ts'
import { startVault } from '../helpers/vault.ts'

t.test('every value stays readable after moves between kinds of root keys', async (t) => {
  const starts = await serviceStarts(t)
  const kms = await startKms(t)
  const vault = await startVault(t)
  vault.rotate('latchkey')
  const [first, last] = [newRootKey('first'), newRootKey('last')]
  const inKms = `kms:aws-kms:${kms.newKey()}`
  const inVault = 'vault:vault-transit:latchkey'
  const file = join(starts.cwd, 'root.keys')
  await writeFile(file, `${last}\n${inVault} # goes after this start\n`, { mode: 0o600 })

  const ids: string[] = []
  const steps: [list: Record<string, string>, fingerprintOf: string][] = [
    [{ LATCHKEY_ROOT_KEYS: first }, first],
    [{ LATCHKEY_ROOT_KEYS: `${inKms},${first}` }, inKms],
    [{ LATCHKEY_ROOT_KEYS: `${inVault},${inKms}` }, inVault],
    [{ LATCHKEY_ROOT_KEYS_FILE: file }, last]
  ]
  for (const [list, current] of steps) {
    const { admin, stop } = await starts.serve({ ...kms.env, ...vault.env, ...list })
    ids.push((await newCredential(admin, await newType(admin))).id)
    for (const id of ids) t.match(await reveal(admin, id), { password: 'hunter2 hunter2' })
    const settings = { address: vault.origin, namespace: undefined, token: { value: 'x' } }
    const { fingerprint } = parseRootKeys(current, () => settings)[0]!
    t.match(await starts.wrappings(), [{ number: 1, root_key_fingerprint: fingerprint }])
    await stop()
  }
  t.match(
    await starts.refusal({ LATCHKEY_ROOT_KEYS: first }),
    /needed /,
    'the first root key is no longer valid'
  )
})
