import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { uuidv7 } from '../../src/ids.ts'
import { startTestApp } from '../helpers/app.ts'
import { eventually } from '../helpers/eventually.ts'
import { startReplica } from '../helpers/replica.ts'
import { sealAll } from '../helpers/sealing.ts'

const service = await startTestApp(t)
const { db } = service

/** Reads the metric from a new replica, which has nothing cached. */
async function lag(t: Test): Promise<number> {
  const { app } = await startReplica(t, service, { env: { METRICS_PORT: '0' } })
  const { address, port } = app.metrics.address!
  const text = await (await fetch(`http://${address}:${port}/metrics`)).text()
  const [, value] = /^latchkey_audit_oldest_unsealed_seconds (\S+)$/m.exec(text) ?? []
  if (value === undefined) throw new Error(text)
  return value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value)
}

const remove = sql`delete from audit_unsealed`
const list = (id: string, settledAt: string) =>
  sql`insert into audit_unsealed values (${id}, ${settledAt}::timestamptz)`.execute(db)

async function insert({ ago = '0 s', foldKey = null }: { ago?: string; foldKey?: string | null } = {}) {
  const id = uuidv7()
  await sql`insert into audit_log (id, occurred_at, action, outcome, actor_type, fold_key)
    values (${id}, now() - ${ago}::interval, 'test.new', 'denied', 'system', ${foldKey})`.execute(db)
  return id
}

t.test('the metric is the age of the oldest event that could be sealed', async (t) => {
  await sealAll(db)
  t.equal(await lag(t), 0, 'all events are sealed')
  await insert({ foldKey: 'counted for two minutes' })
  t.equal(await lag(t), 0, 'a denial that may still be counted is not late')

  await t.test('grows while no replica seals', async (t) => {
    await db.transaction().execute(async (trx) => {
      await sql`select pg_advisory_xact_lock(hashtextextended('latchkey/audit-chain', 0))`.execute(trx)
      const id = await insert()
      await sql`delete from audit_unsealed where event_id = ${id}`.execute(db)
      await sql`insert into audit_unsealed values (${id}, now() - interval '90 s')`.execute(db)
      const seconds = await lag(t)
      t.ok(seconds >= 90 && seconds < 150, `${seconds}`)
    })
    await eventually(async () => (await lag(t)) === 0, 'sealed again', 30_000)
  })
})

t.test('the metric shows an event that is prevented from being sealed', async (t) => {
  await sealAll(db)
  await remove.execute(db)
  const id = await insert({ ago: '10 min' })
  await remove.execute(db)
  await list(id, 'infinity')
  const seconds = await lag(t)
  t.ok(seconds >= 480 && seconds < 540, `ten minutes old, and never settled: ${seconds}`)
  await remove.execute(db)
  await list(uuidv7(), 'infinity')
  t.equal(await lag(t), Number.POSITIVE_INFINITY, 'a missing event')
})

t.test('the metric shows a missing event among thousands that are not due', async (t) => {
  await remove.execute(db)
  await list('00000000-0000-7000-8000-000000000000', 'infinity')
  await db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(hashtextextended('latchkey/audit-chain', 0))`.execute(trx)
    await sql`insert into audit_unsealed select gen_random_uuid(), now() + interval '2 minutes'
      from generate_series(1, 20000)`.execute(db)
    t.equal(await lag(t), Number.POSITIVE_INFINITY)
  })
})
