import { sql } from 'kysely'
import t from 'tap'
import { sealEvents } from '../../src/audit/chain.ts'
import { verifyChain } from '../../src/audit/verify.ts'
import { createDatabase } from '../../src/db/database.ts'
import { uuidv7 } from '../../src/ids.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { startTestApp } from '../helpers/app.ts'
import { createTestDatabase, SERVICE_ROLE } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { startProcess } from '../helpers/process.ts'
import { startReplica } from '../helpers/replica.ts'
import { countLinks, insertEvents, sealAll } from '../helpers/sealing.ts'
import { watchStatements } from '../helpers/statements.ts'

t.setTimeout(180_000)

async function newDatabase() {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  return database
}

t.test('a backlog is sealed despite kill -9 and by two replicas, each event once', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const { db } = service
  await insertEvents(db, 20_000)
  const env = { DATABASE_URL: service.databaseUrl, LATCHKEY_ROOT_KEYS: newRootKey('seal') }
  await service.app.close()
  const other = await newDatabase()
  await insertEvents(other.db, 20_000)
  const killed = startProcess(t, t.testdir(), {
    ...env,
    DATABASE_URL: other.url,
    LATCHKEY_ADMIN_EMAIL: 'admin@example.org',
    LATCHKEY_ADMIN_PASSWORD: 'correct horse battery'
  })
  await eventually(async () => (await countLinks(other.db)) > 0, 'sealing has begun', 60_000)
  killed.child.kill('SIGKILL')
  await killed.exited
  const sealed = await countLinks(other.db)
  t.ok(sealed > 0 && sealed < 20_000, `${sealed} were sealed when it was killed`)
  await sealAll(other.db)
  const after = await verifyChain(other.db)
  t.same([after.broken, after.unsealed], [undefined, 0])
  t.ok(after.verified >= 20_000)

  const replicas = [await startReplica(t, service), await startReplica(t, service)]
  for (let i = 0; i < 5; i++) await insertEvents(db, 1_000)
  await eventually(async () => (await countLinks(db)) >= 25_000, 'the replicas seal all', 120_000)
  for (const { log } of replicas) t.notMatch(log.join(''), 'audit events were not sealed')
  const verdict = await verifyChain(db)
  t.equal(verdict.broken, undefined)
  t.ok(verdict.verified >= 25_000)
})

t.test('large events are sealed in batches of bounded size', async (t) => {
  const { db } = await newDatabase()
  await insertEvents(db, 100, 200_000)
  // Each is larger than a batch.
  await insertEvents(db, 2, 5_000_000)
  const { sent } = watchStatements(t)
  await sealEvents(db)
  const batches = sent.filter((text) => text.startsWith('insert into "audit_links"')).length
  t.ok(batches >= 6 && batches <= 12, `${batches} batches for 30 MB`)
  const verdict = await verifyChain(db)
  t.same([verdict.broken, verdict.verified, verdict.unsealed], [undefined, 102, 0])
})

t.test('events that cannot be sealed do not block the others', async (t) => {
  const { db } = await newDatabase()
  await sql`insert into audit_unsealed (event_id, settled_at)
    select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, now()
    from generate_series(1, 5000) n`.execute(db)
  await insertEvents(db, 3_000)
  await sealEvents(db)
  t.equal(await countLinks(db), 3_000)
})

t.test('events are found by index, even with misleading statistics', async (t) => {
  const { db, url } = await newDatabase()
  await sql`alter table audit_unsealed set (autovacuum_enabled = off)`.execute(db)
  await insertEvents(db, 5_000)
  await sealEvents(db)
  // Now the statistics say that the list is empty, so to the planner a sequential scan costs nothing.
  await sql`vacuum (truncate false) audit_unsealed`.execute(db)
  const scans = async () => {
    const { rows } = await sql<{ scans: number }>`select sum(seq_scan) as scans from pg_stat_user_tables
      where relname like 'audit%'`.execute(db)
    return Number(rows[0]!.scans)
  }
  await insertEvents(db, 5_000)
  const before = await scans()
  const service = createDatabase({ connectionString: url })
  await sealEvents(service)
  // The scan counts of a session are complete after it has ended.
  await service.destroy()
  await eventually(async () => {
    const { rows } = await sql`select from pg_stat_activity where datname = current_database()
      and usename = ${SERVICE_ROLE}`.execute(db)
    return rows.length === 0
  }, 'the session has ended')
  t.equal(await scans(), before)
  t.equal(await countLinks(db), 10_000)
})

t.test('a replica that cannot get the lock returns at once', async (t) => {
  const { db } = await newDatabase()
  await insertEvents(db, 10)
  await db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(hashtextextended('latchkey/audit-chain', 0))`.execute(trx)
    await sealEvents(db)
    t.equal(await countLinks(db), 0)
  })
  await sealEvents(db)
  t.equal(await countLinks(db), 10)
})

t.test('an event that is being counted is sealed with its count', async (t) => {
  const { db } = await newDatabase()
  const id = uuidv7()
  await sql`insert into audit_log (id, action, outcome, actor_type, fold_key)
    values (${id}, 'test.new', 'denied', 'system', ${id})`.execute(db)
  await sql`delete from audit_unsealed where event_id = ${id}`.execute(db)
  await sql`insert into audit_unsealed values (${id}, now())`.execute(db)
  let sealing = Promise.resolve()
  await db.transaction().execute(async (trx) => {
    await sql`update audit_log set count = count + 1 where id = ${id}`.execute(trx)
    sealing = sealEvents(db)
    await eventually(async () => {
      const { rows } = await sql`select from pg_stat_activity where datname = current_database()
        and wait_event_type = 'Lock' and query like 'delete from "audit_unsealed"%'`.execute(db)
      return rows.length > 0
    }, 'sealing waits')
  })
  await sealing
  const verdict = await verifyChain(db)
  t.same([verdict.broken, verdict.verified], [undefined, 1])
})
