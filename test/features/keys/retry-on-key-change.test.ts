import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { prepareKeyring } from '../../../src/features/keys/open-keyring.ts'
import { reencryptAll } from '../../../src/features/keys/reencrypt.ts'
import { parseRootKeys } from '../../../src/root-keys/list.ts'
import { newRootKey } from '../../../src/root-keys/local.ts'
import { startTestApp } from '../../helpers/app.ts'
import { eventually } from '../../helpers/eventually.ts'
import {
  newCredential,
  newCredentialBody,
  newProject,
  newType,
  reveal,
  uniqueName
} from '../../helpers/fixtures.ts'
import { rotate, valuesByKey } from '../../helpers/keys.ts'
import { startReplica } from '../../helpers/replica.ts'
import { newToken } from '../../helpers/tokens.ts'

const path = '/api/v1/app-credentials'
const SECRET = 'hunter2 hunter2'

async function setUp(t: Test) {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  return { service, ann, type: await newType(ann) }
}

const keyringOf = ({ app }: Pick<Awaited<ReturnType<typeof startReplica>>, 'app'>) => app.services.keyring

t.test('a replica serves values under a new data key that it has not loaded yet', async (t) => {
  const { service, ann, type } = await setUp(t)
  const projectId = await newProject(ann)
  const token = await newToken(ann, ['credentials:resolve'], { projectId })
  const replica = await startReplica(t, service)
  const there = replica.client(ann)
  const machine = replica.client()
  machine.bearer = token.bearer
  const note = { keys: [{ fieldId: type.field['note'], keyValue: 'n' }] }
  const asks: Record<string, (id: string) => Promise<{ status: number; text: string }>> = {
    get: (id) => there.get(`${path}/${id}`),
    reveal: (id) => there.post(`${path}/${id}/reveal`, {}),
    resolve: (id) => machine.post(`/api/v1/projects/${projectId}/resolve`, { credentials: [{ id }] }),
    'update of a name': (id) => there.put(`${path}/${id}`, { credentialName: uniqueName('new') }),
    'update of a value': (id) => there.put(`${path}/${id}`, note),
    'new environment': (id) => there.put(`${path}/${id}/environments/test`, { keys: keysOf() }),
    'environment gone': (id) => there.delete(`${path}/${id}/environments/other`)
  }
  const keysOf = () => newCredentialBody(type).keys
  /** Rotates the data key and calls `create`. Repeats this if the replica has already loaded the new key. */
  const underNewKey = async <T>(create: () => Promise<T>) => {
    for (let attempt = 1; ; attempt++) {
      const number = await rotate(service)
      await keyringOf(service).refresh()
      const created = await create()
      if (!knows(number) || attempt === 5) return { number, created }
    }
  }
  const knows = (number: number) => keyringOf(replica).toJSON().numbers.includes(number)
  for (const [what, ask] of Object.entries(asks)) {
    const { number, created: id } = await underNewKey(async () => {
      const made = await newCredential(ann, type, { projectIds: [projectId] })
      await ann.put(`${path}/${made.id}/environments/other`, { keys: keysOf() })
      return made.id
    })
    t.notOk(knows(number), `${what}: the key is unknown`)
    const before = (await ann.get(`${path}/${id}`)).json.revision
    const answer = await ask(id)
    t.equal(answer.status, 200, `${what}: ${answer.text}`)
    t.notMatch(answer.text, 'decryption-failed')
    t.equal(keyringOf(replica).current, number, `${what}: the key is loaded`)
    const changes = /update|environment/.test(what) ? 1 : 0
    t.equal((await ann.get(`${path}/${id}`)).json.revision, before + changes, `${what}: done once`)
    t.equal((await reveal(there, id))['password'], SECRET)
    const { rows } = await sql<{ count: number }>`select count(*) as count from audit_log
      where target_id = ${id} and outcome = 'denied'`.execute(service.db)
    t.equal(rows[0]!.count, 0, `${what}: no denial is recorded`)
  }

  const { number, created } = await underNewKey(async () => {
    const body = newCredentialBody(type)
    const key = { headers: { 'idempotency-key': randomUUID() } }
    return { body, key, first: await ann.post(path, body, key) }
  })
  const { body, key, first } = created
  t.notOk(knows(number))
  const again = await there.post(path, body, key)
  t.equal(again.headers.get('idempotency-replayed'), 'true', 'a response stored under the new key')
  t.same(again.json, first.json)
})

t.test('all replicas write under the new data key within seconds', async (t) => {
  const { service, ann, type } = await setUp(t)
  const replica = await startReplica(t, service)
  const number = await rotate(service)
  const began = Date.now()
  await eventually(() => [service, replica].every((one) => keyringOf(one).current === number), 'both use it')
  t.ok(Date.now() - began < 7_500, `after ${Date.now() - began} ms`)
  await newCredential(ann, type)
  await newCredential(replica.client(ann), type)
  t.same(await valuesByKey(service), { [number]: 4 })
})

t.test('an unknown key number is a decryption failure', async (t) => {
  const { service, ann, type } = await setUp(t)
  const { id } = await newCredential(ann, type)
  await sql`update credential_keys set value = set_byte(value, 4, 99) where credential_id = ${id}`.execute(
    service.db
  )
  for (let i = 0; i < 3; i++) {
    const answer = await ann.post(`${path}/${id}/reveal`, {})
    t.match([answer.status, answer.json.code], [500, 'decryption-failed'])
  }
  const { rows } = await sql<{ count: number }>`select sum(count) as count from audit_log
    where target_id = ${id} and outcome = 'denied'`.execute(service.db)
  t.equal(Number(rows[0]!.count), 3, 'each failure is recorded')
  const metrics = await service.app.metrics.registry.metrics()
  t.match(metrics, /^latchkey_decryption_failures_total\{where="request"\} 3$/m)
})

t.test('a resolve with many unknown key numbers still returns the other values', async (t) => {
  const { service, ann, type } = await setUp(t)
  const projectId = await newProject(ann)
  const machine = await newToken(ann, ['credentials:resolve'], { projectId })
  const credentials = []
  for (let i = 0; i < 8; i++)
    credentials.push({ id: (await newCredential(ann, type, { projectIds: [projectId] })).id })
  for (const [i, { id }] of credentials.slice(1).entries())
    await sql`update credential_keys set value = set_byte(value, 4, ${100 + i}::int)
      where credential_id = ${id}`.execute(service.db)
  const answer = await machine.post(`/api/v1/projects/${projectId}/resolve`, { credentials })
  t.equal(answer.status, 200)
  t.match(answer.json.results, [
    { values: { password: SECRET } },
    ...credentials.slice(1).map(() => ({ error: { code: 'decryption-failed' } }))
  ])
})

t.test('a replica that cannot unwrap a new data key returns 503 for it and serves the rest', async (t) => {
  const { service, ann, type } = await setUp(t)
  const old = await newCredential(ann, type)
  const replica = await startReplica(t, service)
  const there = replica.client(ann)
  // Simulates a restart of all other replicas with a new root key.
  const rootKeys = [...parseRootKeys(newRootKey('new')), ...service.rootKeys]
  const keyring = await prepareKeyring(service.db, rootKeys)
  await rotate({ db: service.db, rootKeys })
  await keyring.refresh()
  await reencryptAll(service.db, keyring)
  const refused = await there.post(`${path}/${old.id}/reveal`, {})
  t.match([refused.status, refused.json.code], [503, 'unavailable'])
  t.ok(Number(refused.headers.get('retry-after')) > 0)
  t.notMatch(refused.text, /fingerprint|root/i)
  const { rows } = await sql`select 1 from audit_log where outcome = 'denied'`.execute(service.db)
  t.equal(rows.length, 0, 'no denial is recorded')
  const made = await newCredential(there, type)
  t.equal((await reveal(there, made.id))['password'], SECRET, 'it can read its own writes')
  await eventually(
    () => replica.log.some((line) => line.includes('the data keys were not refreshed')),
    'it is logged'
  )
  await reencryptAll(service.db, keyring)
  t.same(await valuesByKey(service), { 2: 4 }, 'other replicas re-encrypt them')
  t.match(await replica.app.metrics.registry.metrics(), /^latchkey_keyring_refresh_failures_total [1-9]\d*$/m)
})
