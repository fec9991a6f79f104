import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { destroyDataKey } from '../../../src/features/keys/destroy.ts'
import { startTestApp, type TestApp } from '../../helpers/app.ts'
import { eventually } from '../../helpers/eventually.ts'
import { newCredential, newCredentialBody, newType, reveal } from '../../helpers/fixtures.ts'
import { age, keyEvents, operator, reencrypt, rotate, valuesByKey } from '../../helpers/keys.ts'
import { startReplica } from '../../helpers/replica.ts'

const path = '/api/v1/app-credentials'

const refusalOf = (service: TestApp, number: number) =>
  destroyDataKey(service.db, number, operator).then(
    () => undefined,
    (error: Error) => error
  )
const numbersIn = async (service: TestApp) =>
  (await service.db.selectFrom('data_keys').select('number').orderBy('number').execute()).map(
    (row) => row.number
  )

t.test('a data key can be destroyed if it is unused and was retired 60 seconds ago', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const type = await newType(ann)
  const key = { headers: { 'idempotency-key': randomUUID() } }
  const made = await ann.post(path, newCredentialBody(type), key)
  t.match(await refusalOf(service, 7), {
    name: 'KeyNotDestroyed',
    message: 'data key 7 was not destroyed: it does not exist'
  })
  t.match(await refusalOf(service, 1), { message: /it is the current one; run "keys rotate" first/ })
  await rotate(service)
  t.match(await refusalOf(service, 1), { message: /retired less than 60 seconds ago/ })
  await age(service, 1)
  t.match(await refusalOf(service, 1), {
    message: /it still encrypts 2 values and 1 stored response to .*Idempotency/
  })
  await reencrypt(service)
  t.match(await refusalOf(service, 1), { message: /destroyed: it still encrypts 1 stored response to/ })
  await sql`update idempotency_keys set expires_at = now() - interval '1 second'`.execute(service.db)
  t.ok(await refusalOf(service, 1), 'the stored response has expired but is not deleted yet')
  await sql`delete from idempotency_keys`.execute(service.db)
  t.equal(await refusalOf(service, 1), undefined)
  t.same(await numbersIn(service), [2])
  t.match((await keyEvents(service)).at(-1), {
    action: 'data-key.destroyed',
    target_name: 1,
    actor_type: 'system',
    actor_name: 'command line'
  })
  t.equal((await reveal(ann, made.json.id))['password'], 'hunter2 hunter2')
  await service.app.services.keyring.refresh()
  t.same(
    service.app.services.keyring.toJSON(),
    { current: 2, numbers: [2] },
    'the key is also removed from memory'
  )
})

t.test('a write in progress keeps its data key', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const type = await newType(ann)
  const { id } = await newCredential(ann, type)
  await rotate(service)
  await age(service, 1)
  await reencrypt(service)
  let destroyed: Promise<Error | undefined> | undefined
  await service.db.transaction().execute(async (trx) => {
    await sql`update credential_keys set data_key_no = 1 where credential_id = ${id}`.execute(trx)
    destroyed = refusalOf(service, 1)
    await eventually(async () => {
      const { rows } = await sql`select 1 from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`.execute(service.db)
      return rows.length > 0
    }, 'it waits for the write')
  })
  t.match(await destroyed, { name: 'KeyNotDestroyed', message: /just been encrypted with it/ })
  t.same(await numbersIn(service), [1, 2])
})

t.test('the service destroys an unused data key after the configured number of days', async (t) => {
  const [kept, due] = [await startTestApp(t), await startTestApp(t, { LATCHKEY_DATA_KEY_KEEP_DAYS: '3' })]
  for (const service of [kept, due]) {
    await newCredential(service.admin, await newType(service.admin))
    await rotate(service)
    await age(service, 4, 1)
  }
  await eventually(async () => (await numbersIn(due)).length === 1, 'the key is destroyed', 20_000)
  t.same(await valuesByKey(due), { 2: 2 }, 'after all values were re-encrypted')
  t.match((await keyEvents(due)).at(-1), { action: 'data-key.destroyed', actor_name: 'service' })
  await eventually(
    async () => (await valuesByKey(kept))[2] === 2,
    'the other service has re-encrypted as well'
  )
  t.same(await numbersIn(kept), [1, 2], 'it keeps its key for 30 days')
})

t.test('a replica that writes under a destroyed data key loads the new one and writes again', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const type = await newType(ann)
  const replica = await startReplica(t, service)
  await rotate(service)
  await age(service, 1, 1)
  await reencrypt(service)
  t.equal(await refusalOf(service, 1), undefined)
  t.equal(replica.app.services.keyring.current, 1, 'it does not know the new key')
  const key = { headers: { 'idempotency-key': randomUUID() } }
  const made = await replica.client(ann).post(path, newCredentialBody(type), key)
  t.equal(made.status, 201, made.text)
  t.equal(replica.app.services.keyring.current, 2)
  t.same(await valuesByKey(service), { 2: 2 })
  t.equal((await reveal(ann, made.json.id))['password'], 'hunter2 hunter2')
})
