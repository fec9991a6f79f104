import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import pg from 'pg'
import t from 'tap'
import { sealEvents } from '../../src/audit/chain.ts'
import { partitionDays } from '../../src/audit/partition-job.ts'
import {
  extendPartitions,
  findArchiveLag,
  findPartitionsAhead
} from '../../src/audit/partition-repository.ts'
import { verifyChain } from '../../src/audit/verify.ts'
import { createDatabase, type Database } from '../../src/db/database.ts'
import { startTestApp } from '../helpers/app.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { newCredential, newType } from '../helpers/fixtures.ts'
import { divideLog, endPartitions, insertAged, partitionsOf } from '../helpers/partitions.ts'
import { startReplica } from '../helpers/replica.ts'
import { sealAll } from '../helpers/sealing.ts'

const DAY_S = 86_400

/** Returns the ages of the events in each partition of the log. */
async function agesIn(db: Database): Promise<number[][]> {
  const ages = []
  for (const name of await partitionsOf(db)) {
    const { rows } = await sql<{ age: number }>`select details->'age' as age from ${sql.table(name)}
      order by id`.execute(db)
    ages.push(rows.map(({ age }) => age))
  }
  return ages
}

t.test('the role of the service creates partitions ahead, each once', async (t) => {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const service = createDatabase({ connectionString: database.url })
  t.teardown(() => service.destroy())
  t.equal((await partitionsOf(database.db)).length, 2)
  await extendPartitions(service, 1)
  t.equal((await partitionsOf(database.db)).length, 2, 'they extend far enough ahead')
  await Promise.all(Array.from({ length: 5 }, () => extendPartitions(service, 30)))
  const names = await partitionsOf(database.db)
  t.equal(names.length, 3)
  t.ok((await findPartitionsAhead(service)) >= 60 * DAY_S)
  await extendPartitions(service, 30)
  t.same(await partitionsOf(database.db), names)
  const { rows } = await sql<{ parent: string; bounds: string[] }>`
    select parent, array_agg(to_id::text order by from_id nulls first) as bounds
    from audit_partitions group by parent`.execute(database.db)
  t.same(rows[0]!.bounds, rows[1]!.bounds, 'the chain has the same bounds')
})

t.test('reads do not wait while a partition waits for locks on the log', async (t) => {
  const { db, url, ownerUrl, drop } = await createTestDatabase()
  t.teardown(drop)
  await endPartitions(db, 1)
  const service = createDatabase({ connectionString: url }, { connections: 4 })
  t.teardown(() => service.destroy())
  const reader = new pg.Client({ connectionString: ownerUrl })
  await reader.connect()
  t.teardown(() => reader.end())
  await reader.query('begin')
  await reader.query('lock table audit_log in access share mode')
  const ended: string[] = []
  await Promise.all([
    t.rejects(extendPartitions(service, 1), /lock timeout/).then(() => ended.push('partition')),
    findPartitionsAhead(service).then(() => ended.push('read')),
    service
      .selectFrom('users')
      .select('id')
      .execute()
      .then(() => ended.push('read'))
  ])
  t.same(ended, ['read', 'read', 'partition'])
})

t.test('events of clocks that are ahead stay in the log when partitions are created', async (t) => {
  const { db, drop } = await createTestDatabase()
  t.teardown(drop)
  await insertAged(db, [1])
  await insertAged(db, [2], { ahead: 45 })
  await insertAged(db, [3], { ahead: 4_000 })
  await sealEvents(db)
  await extendPartitions(db, 30)
  t.same(await agesIn(db), [[1], [2], [3]])
  await insertAged(db, [4], { ahead: 4_000_000 })
  await sealEvents(db)
  t.match(await verifyChain(db), { verified: 4, unsealed: 0, broken: undefined })
})

t.test('after a long time without new partitions, few are created', async (t) => {
  const { db, drop } = await createTestDatabase()
  t.teardown(drop)
  await endPartitions(db, 200)
  await insertAged(db, [250, 150, 20, 0])
  await sealEvents(db)
  t.ok((await findPartitionsAhead(db)) < -199 * DAY_S)
  await extendPartitions(db, 1)
  const ages = await agesIn(db)
  t.same(ages.slice(0, 2), [[250], [150, 20, 0]])
  t.ok(ages.length <= 5, `${ages.length} partitions`)
  t.match(await verifyChain(db), { verified: 4, broken: undefined })
  t.equal(await findArchiveLag(db, 200), 0)
  const lag = await findArchiveLag(db, 100)
  t.ok(lag > 98 * DAY_S && lag < 101 * DAY_S, `${lag} seconds`)
})

t.test('events cannot be changed or removed in their partition', async (t) => {
  const { db, drop } = await createTestDatabase()
  t.teardown(drop)
  await divideLog(db, [60, 30])
  await insertAged(db, [70, 40, 5])
  await sealEvents(db)
  for (const name of await partitionsOf(db)) {
    for (const table of [name, name.replace('log', 'links').replace('audit_events', 'audit_chain')]) {
      await t.rejects(sql`truncate ${sql.table(table)}`.execute(db), /only ever added/, table)
      const { rows } = await sql`select from ${sql.table(table)} limit 1`.execute(db)
      if (rows.length === 0) continue
      await t.rejects(sql`delete from ${sql.table(table)}`.execute(db), /only ever added/, table)
      const column = table.includes('log') || table === 'audit_events' ? 'id' : 'event_id'
      const change = sql`update ${sql.table(table)} set ${sql.ref(column)} = ${sql.ref(column)}`
      await t.rejects(change.execute(db), /only ever added/, table)
    }
  }
})

t.test('the statement in docs/operations/audit-log.md lists the partitions', async (t) => {
  const { db, drop } = await createTestDatabase()
  t.teardown(drop)
  const page = await readFile(join(import.meta.dirname, '../../docs/operations/audit-log.md'), 'utf8')
  const [, statement] = /```sql\n([\s\S]*?)```/.exec(page)!
  const { rows } = await sql.raw<{ name: string; from: Date; to: Date; size: string }>(statement!).execute(db)
  t.match(rows, [
    { name: 'audit_events', from: null, to: Date, size: / kB$/ },
    { from: rows[0]!.to, to: null }
  ])
})

t.test('a partition that is dropped during the listing is not listed without bounds', async (t) => {
  const { db, drop } = await createTestDatabase()
  t.teardown(drop)
  await divideLog(db, [60, 30])
  const dropped = (await partitionsOf(db))[1]!
  await db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (trx) => {
      await sql`select 1`.execute(trx)
      await sql`drop table ${sql.table(dropped)}`.execute(db)
      const { rows } = await sql<{ ends: number }>`select count(*) as ends from audit_partitions
        where parent = 'audit_log' and to_id is null`.execute(trx)
      t.same(rows, [{ ends: 1 }])
    })
})

t.test('a partition covers a twelfth of the days to keep, and at most 30 days', async (t) => {
  t.same([1, 12, 30, 90, 365, 3_650, undefined].map(partitionDays), [1, 1, 3, 8, 30, 30, 30])
})

t.test('equal denials on several replicas are one event', async (t) => {
  const service = await startTestApp(t)
  const replica = await startReplica(t, service)
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const { id } = await newCredential(ann, await newType(ann))
  const path = `/api/v1/app-credentials/${id}`
  const cookie = bob.cookie!
  const origins = [service.origin, replica.origin]
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, i) => fetch(origins[i % 2] + path, { headers: { cookie } }))
  )
  t.same(new Set(answers.map(({ status }) => status)), new Set([404]))
  const { rows } = await sql<{ count: number }>`select count from audit_log where target_id = ${id}
    and outcome = 'denied'`.execute(service.db)
  t.ok(rows.length <= 2, 'one, or two if the minute ended')
  t.equal(
    rows.reduce((sum, { count }) => sum + count, 0),
    40
  )
  await sealAll(service.db)
  t.match(await verifyChain(service.db), { broken: undefined })
})

t.test('a page of a log with many partitions has a bounded cost', async (t) => {
  const service = await startTestApp(t)
  const { db } = service
  const server = new pg.Client({ connectionString: service.databaseUrl })
  await server.connect()
  t.teardown(() => server.end())
  await server.query('set plan_cache_mode = force_generic_plan')
  await divideLog(
    db,
    Array.from({ length: 24 }, (_, i) => -1 - i)
  )
  await insertAged(
    db,
    Array.from({ length: 24_000 }, (_, i) => -i * 0.001)
  )
  await sql`vacuum analyze`.execute(db)
  const sent: { text: string; values: unknown[] }[] = []
  const prototype = pg.Client.prototype as unknown as { query(one: (typeof sent)[number]): unknown }
  const { query } = prototype
  prototype.query = function (one) {
    if (one.text?.includes('scanned_to')) sent.push(one)
    return query.call(this, one)
  }
  t.teardown(() => {
    prototype.query = query
  })
  for (const [parameters, most] of [
    // Reads the ids of a thousand events, and fifty events.
    ['', 1_500],
    [`actorId=${randomUUID()}`, 500],
    ['until=2001-01-01T00:00:00Z', 100]
  ] as const) {
    sent.length = 0
    t.equal((await service.admin.get(`/api/v1/audit-events?${parameters}`)).status, 200)
    const [{ text, values }] = sent as [(typeof sent)[number]]
    await server.query(`prepare page as ${text}`)
    const literals = values.map((value) =>
      value === null ? 'null' : pg.escapeLiteral(value instanceof Date ? value.toISOString() : String(value))
    )
    const { rows } = await server.query(
      `explain (analyze, buffers, format json) execute page(${literals.join()})`
    )
    await server.query('deallocate page')
    const [{ Plan: plan, 'Execution Time': ms }] = rows[0]['QUERY PLAN']
    const blocks = plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
    t.ok(blocks < most, `${parameters}: ${blocks} blocks, ${ms} ms`)
  }
})
