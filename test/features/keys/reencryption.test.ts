import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { openKeyring } from '../../../src/features/keys/open-keyring.ts'
import { reencryptAll } from '../../../src/features/keys/reencrypt.ts'
import { startTestApp } from '../../helpers/app.ts'
import { eventually } from '../../helpers/eventually.ts'
import { newCredential, newCredentialBody, newType, reveal } from '../../helpers/fixtures.ts'
import { reencrypt, rotate, valuesByKey } from '../../helpers/keys.ts'

const path = '/api/v1/app-credentials'
const SECRET = 'hunter2 hunter2'

async function setUp(t: Test) {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  return { service, ann, type: await newType(ann) }
}

t.test('re-encryption changes the data key of the values, and nothing else', async (t) => {
  const { service, ann, type } = await setUp(t)
  const ids: string[] = []
  for (let i = 0; i < 25; i++) ids.push((await newCredential(ann, type)).id)
  await ann.put(`${path}/${ids[0]}/environments/test`, { keys: newCredentialBody(type).keys })
  await ann.put(`${path}/${ids[1]}`, { keys: [{ fieldId: type.field['note'], keyValue: 'changed' }] })
  const see = () =>
    Promise.all(
      ids.map(async (id) => {
        const { json, headers } = await ann.get(`${path}/${id}`)
        return { json, etag: headers.get('etag'), values: await reveal(ann, id) }
      })
    )
  const rowsOf = async () => {
    const { rows } = await sql<object>`select id, revision, sealed_revision, updated_at, xmin::text
      from credentials order by id`.execute(service.db)
    return rows
  }
  const sealed = async () =>
    (await sql<{ value: Buffer }>`select value from credential_keys`.execute(service.db)).rows.map((row) =>
      row.value.toString('hex')
    )
  const [before, rows, values] = [await see(), await rowsOf(), await sealed()]
  const { rows: events } = await sql<{ count: number }>`select count(*) as count from audit_log`.execute(
    service.db
  )
  await rotate(service)
  t.match(await reencrypt(service), { damaged: [], skipped: 0 })
  t.same(await valuesByKey(service), { 2: values.length })
  t.equal(
    new Set([...values, ...(await sealed())]).size,
    2 * values.length,
    'all encrypted values have changed'
  )
  const { rows: later } = await sql<{ count: number }>`select count(*) as count from audit_log`.execute(
    service.db
  )
  t.equal(later[0]!.count, events[0]!.count + 2, 'two events: one key retired, one created')
  t.same(await rowsOf(), rows, 'no credential was written')
  t.same(await see(), before)
  t.match(await reencrypt(service), { values: 0 }, 'nothing is left to do')
})

t.test('a credential that is locked by another transaction is re-encrypted in the next pass', async (t) => {
  const { service, ann, type } = await setUp(t)
  const [held, free] = [await newCredential(ann, type), await newCredential(ann, type)]
  await rotate(service)
  await service.db.transaction().execute(async (trx) => {
    await sql`select id from credentials where id = ${held.id} for update`.execute(trx)
    t.match(await reencrypt(service), { values: 2, skipped: 1 })
    t.same(await valuesByKey(service), { 1: 2, 2: 2 })
  })
  t.match(await reencrypt(service), { values: 2, skipped: 0 })
  for (const { id } of [held, free]) t.equal((await reveal(ann, id))['password'], SECRET)
})

t.test('a replica with an old keyring does not re-encrypt under its old data key', async (t) => {
  const { service, ann, type } = await setUp(t)
  const { id } = await newCredential(ann, type)
  const stale = await openKeyring(service.db, service.rootKeys)
  await rotate(service)
  t.match(await reencryptAll(service.db, stale), { values: 0 })
  t.same(await valuesByKey(service), { 1: 2 })
  await reencrypt(service)
  t.match(await reencryptAll(service.db, stale), { values: 0 })
  t.same(await valuesByKey(service), { 2: 2 })
  t.equal((await reveal(ann, id))['password'], SECRET)
})

t.test('a value that does not decrypt is skipped, kept, logged and counted', async (t) => {
  const { service, ann, type } = await setUp(t)
  const made = []
  for (let i = 0; i < 30; i++) made.push(await newCredential(ann, type))
  const broken = made[3]!.id
  await sql`update credential_keys set value = set_byte(value, 30, get_byte(value, 30) # 1)
    where credential_id = ${broken} and field_id = ${type.field['password']!}`.execute(service.db)
  await rotate(service)
  // The background job of the service re-encrypts.
  await eventually(async () => (await valuesByKey(service))[1] === 1, 'all but one', 20_000)
  t.same(await valuesByKey(service), { 1: 1, 2: 59 })
  await eventually(() => service.log.some((line) => line.includes(broken)), 'it is logged')
  const line = JSON.parse(service.log.find((one) => one.includes(broken))!)
  t.match(line, { level: 'error', credentials: 1, first: [broken] })
  const metrics = await service.app.metrics.registry.metrics()
  t.match(metrics, /^latchkey_reencryption_damaged_credentials 1$/m)
  t.match(metrics, /^latchkey_decryption_failures_total\{where="re-encryption"\} 1$/m)
  await rotate(service)
  const next = async () => ((await valuesByKey(service))[3] ?? 0) === 59
  await eventually(next, 'the next rotation does not wait for it', 20_000)
  const refused = await ann.post(`${path}/${broken}/reveal`, {})
  t.match([refused.status, refused.json.code], [500, 'decryption-failed'])
  const keys = [{ fieldId: type.field['password'], keyValue: 'mended' }]
  t.equal((await ann.put(`${path}/${broken}`, { keys })).status, 200)
  t.same(await valuesByKey(service), { 3: 60 }, 'a new value replaces the damaged one')
})
