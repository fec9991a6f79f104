import { sql } from 'kysely'
import t from 'tap'
import { lockDataKeys } from '../../../src/features/keys/repository.ts'
import { rotateDataKey } from '../../../src/features/keys/rotate.ts'
import { parseRootKeys } from '../../../src/root-keys/list.ts'
import { newRootKey } from '../../../src/root-keys/local.ts'
import { startTestApp, type TestApp } from '../../helpers/app.ts'
import { eventually } from '../../helpers/eventually.ts'
import { age, keyEvents, operator, rotate } from '../../helpers/keys.ts'
import { startReplica } from '../../helpers/replica.ts'

/** Returns the number of transactions that wait for an advisory lock. */
async function waiting({ db }: Pick<TestApp, 'db'>): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*)::int as count from pg_locks
    where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`.execute(db)
  return rows[0]!.count
}

const keyringOf = ({ app }: Pick<Awaited<ReturnType<typeof startReplica>>, 'app'>) => app.services.keyring

t.test('replicas that rotate at the same time create one data key, also by age', async (t) => {
  const service = await startTestApp(t)
  // Makes all of them wait until they have read the first key as the current one.
  const { rotating } = await service.db.transaction().execute(async (trx) => {
    await lockDataKeys(trx)
    const rotating = Array.from({ length: 6 }, () => rotate(service))
    await eventually(async () => (await waiting(service)) === rotating.length, 'they wait', 4_000)
    return { rotating }
  })
  const numbers = await Promise.all(rotating)
  t.ok(
    numbers.every((number) => number === numbers[0]),
    `${numbers}`
  )
  const events = await keyEvents(service)
  t.match(events, [
    { action: 'data-key.created', target_name: 1, actor_type: 'system', actor_name: 'service' },
    { action: 'data-key.retired', target_name: 1, actor_name: 'command line', details: { reason: 'asked' } },
    { action: 'data-key.created', target_name: 2, details: { rootKey: service.rootKeys[0]!.fingerprint } }
  ])
  t.equal(events.length, 3)

  const replica = await startReplica(t, service)
  const before = Date.now()
  await age(service, 91, 2)
  await eventually(() => keyringOf(replica).current === 3, 'a new one after 90 days', 20_000)
  await eventually(() => keyringOf(service).current === 3, 'on all replicas')
  t.ok(Date.now() - before < 20_000)
  const { rows } = await sql`select number from data_keys`.execute(service.db)
  t.equal(rows.length, 3, 'only one replica created a key')
  t.match((await keyEvents(service)).at(-1), { actor_name: 'service', details: { number: 3, reason: 'age' } })
})

t.test('a data key is kept at 89 days, and at any age with LATCHKEY_DATA_KEY_MAX_DAYS=0', async (t) => {
  const [young, never] = [await startTestApp(t), await startTestApp(t, { LATCHKEY_DATA_KEY_MAX_DAYS: '0' })]
  await Promise.all([age(young, 89), age(never, 4_000)])
  await new Promise((resolve) => setTimeout(resolve, 7_500))
  t.same([keyringOf(young).current, keyringOf(never).current], [1, 1])
  t.equal((await keyEvents(young)).length + (await keyEvents(never)).length, 2)
})

t.test('a process with another first root key does not create a data key', async (t) => {
  const service = await startTestApp(t)
  const [other] = parseRootKeys(newRootKey('other'))
  const failure = await rotateDataKey(service.db, other!, operator, 'asked').catch((error) => error)
  t.match(failure, { name: 'RootKeyNotCurrent' })
  t.match(failure.message, service.rootKeys[0]!.fingerprint)
  t.match(failure.message, `${other!.fingerprint} (other)`)
  t.equal((await sql`select 1 from data_keys`.execute(service.db)).rows.length, 1)
})
