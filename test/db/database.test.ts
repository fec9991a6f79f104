import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import {
  type ConnectionOptions,
  createDatabase,
  type Database,
  inTransaction
} from '../../src/db/database.ts'
import { isDatabaseError, isRetryable, isUnavailable, violates } from '../../src/db/errors.ts'
import { type Params, prepared } from '../../src/db/prepared.ts'
import type { Tables } from '../../src/db/tables.ts'
import { createTestDatabase, type TestDatabase } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { startProxy } from '../helpers/proxy.ts'

let made: TestDatabase
t.before(async () => {
  made = await createTestDatabase()
  // These tests also change tables.
  made.url = made.ownerUrl
})
t.teardown(() => made.drop())

/** Opens its own connections to the test database. Returns them with the reported connection errors. */
async function openDatabase(
  t: Test,
  { connections = 21, ...connection }: ConnectionOptions & { connections?: number } = {}
) {
  const errors: Error[] = []
  const db = createDatabase(
    { connectionString: made.url, application_name: randomBytes(8).toString('hex'), ...connection },
    { connections, onConnectionError: (error) => errors.push(error) }
  )
  t.teardown(() => db.destroy())
  return { db, errors }
}

const pidOf = async (db: Database) =>
  (await db.selectNoFrom(sql<number>`pg_backend_pid()`.as('pid')).executeTakeFirstOrThrow()).pid
const pidOfWrite = async (db: Database, account = randomBytes(32)) => {
  const inserted = db
    .insertInto('login_failures')
    .values({ id: randomUUID(), account, address: '::1' })
    .returning(sql<number>`pg_backend_pid()`.as('pid'))
  return (await inserted.executeTakeFirstOrThrow()).pid
}
const countOf = async (db: Database, account: Buffer) => {
  const rows = await db.selectFrom('login_failures').where('account', '=', account).select('id').execute()
  return rows.length
}
const sleepFor = (db: Database, seconds: number) =>
  db.selectNoFrom(sql`pg_sleep(${sql.lit(seconds)})`.as('slept')).execute()
const caught = (work: Promise<unknown>) => work.then(() => undefined).catch((error) => error)

/** Terminates all connections of `db`, from another client. */
async function terminateAll(db: Database): Promise<number> {
  const applicationName = await db
    .selectNoFrom(sql<string>`current_setting('application_name')`.as('name'))
    .executeTakeFirstOrThrow()
  const client = new pg.Client({ connectionString: made.url })
  await client.connect()
  const { rows } = await client.query(
    'select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = $1',
    [applicationName.name]
  )
  await client.end()
  return rows.length
}

t.test('every query is prepared by name, once per connection', async (t) => {
  const { db } = await openDatabase(t, { connections: 4 })
  const account = randomBytes(32)
  for (let i = 0; i < 3; i++) {
    await countOf(db, account)
    await pidOfWrite(db)
  }
  const reads = await db
    .selectFrom(sql<{ name: string; statement: string }>`pg_prepared_statements`.as('p'))
    .select(['p.name', 'p.statement'])
    .execute()
  t.match(
    reads.filter((row) => row.statement.includes('"login_failures"')),
    [{ name: /^latchkey_\d+$/, statement: /^select "id"/ }]
  )
  const writes = await inTransaction(db, (trx) =>
    trx
      .selectFrom(sql<{ name: string; statement: string }>`pg_prepared_statements`.as('p'))
      .select(['p.name', 'p.statement'])
      .execute()
  )
  t.match(
    writes.filter((row) => row.statement.includes('"login_failures"')),
    [{ name: /^latchkey_\d+$/, statement: /^insert into "login_failures"/ }]
  )
})

t.test('concurrent reads share a few connections', async (t) => {
  const { db } = await openDatabase(t)
  const pids = await Promise.all(Array.from({ length: 100 }, () => pidOf(db)))
  t.ok(new Set(pids).size <= 6)
})

t.test('statements that write or lock do not share connections with reads', async (t) => {
  const { db } = await openDatabase(t, { connections: 4 })
  const reads = new Set(await Promise.all([pidOf(db), pidOf(db)]))
  const pid = await pidOfWrite(db)
  t.notOk(reads.has(pid), 'an insert')
  const pidColumn = sql<number>`pg_backend_pid()`.as('pid')
  const others = {
    'a locking read': db.selectFrom('login_failures').select(pidColumn).forUpdate().limit(1),
    'a write in a with clause': db
      .with('w', (qb) =>
        qb
          .insertInto('login_failures')
          .values({ id: randomUUID(), account: randomBytes(32), address: '::1' })
          .returning('id')
      )
      .selectFrom('w')
      .select(pidColumn),
    'a locking read in a with clause': db
      .with('w', (qb) => qb.selectFrom('login_failures').select('id').forUpdate().limit(1))
      .selectFrom('w')
      .select(pidColumn),
    'an update': db.updateTable('login_failures').set({ address: '::2' }).returning(pidColumn)
  }
  for (const [name, query] of Object.entries(others)) {
    t.equal((await query.execute())[0]?.pid, pid, name)
  }
  const raw = await sql<{ pid: number }>`/* raw */ select pg_backend_pid() as pid`.execute(db)
  t.equal(raw.rows[0]?.pid, pid, 'raw SQL that does not begin with select')
})

t.test('a transaction has its own connection, and an error rolls it back', async (t) => {
  const { db } = await openDatabase(t)
  const account = randomBytes(32)
  const stop = new Error('stop')
  const error = await caught(
    inTransaction(db, async (trx) => {
      const pids = [await pidOfWrite(trx, account), await pidOf(trx), await pidOfWrite(trx, account)]
      t.equal(new Set(pids).size, 1, 'reads and writes')
      t.equal(await countOf(trx, account), 2, 'it sees what it wrote')
      t.equal(await countOf(db, account), 0, 'others do not see it')
      throw stop
    })
  )
  t.equal(error, stop)
  t.equal(await countOf(db, account), 0)
  await inTransaction(db, (trx) => pidOfWrite(trx, account))
  t.equal(await countOf(db, account), 1, 'without an error it is committed')
})

t.test('concurrent transactions do not see each other', async (t) => {
  const { db } = await openDatabase(t, { connections: 8 })
  const pids = await Promise.all(
    Array.from({ length: 4 }, () =>
      inTransaction(db, async (trx) => {
        const account = randomBytes(32)
        const pid = await pidOfWrite(trx, account)
        await sleep(20)
        t.equal(await countOf(trx, account), 1)
        t.equal(await pidOf(trx), pid)
        return pid
      })
    )
  )
  t.equal(new Set(pids).size, 4)
})

t.test('a transaction is retried after a conflict, up to three runs', async (t) => {
  const { db } = await openDatabase(t)
  const fail = (trx: Database, code: string) =>
    sql`do ${sql.lit(`begin raise exception 'lost' using errcode = '${code}'; end`)}`.execute(trx)
  for (const code of ['40001', '40P01']) {
    let runs = 0
    const result = await inTransaction(db, async (trx) => {
      if (++runs < 3) await fail(trx, code)
      return runs
    })
    t.equal(result, 3, code)
    const error = await caught(inTransaction(db, (trx) => fail(trx, code)))
    t.ok(isRetryable(error) && isUnavailable(error), code)
  }
  let runs = 0
  await caught(
    inTransaction(db, async (trx) => {
      runs++
      await fail(trx, '23505')
    })
  )
  t.equal(runs, 1, 'other errors are not retried')
})

t.test('the error of a pipelined read does not affect the others', async (t) => {
  const { db } = await openDatabase(t)
  const results = await Promise.allSettled(
    Array.from({ length: 50 }, (_, i) =>
      db
        .selectNoFrom(sql<number>`100 / ${i % 5}::int`.as('quotient'))
        .executeTakeFirstOrThrow()
        .then((row) => row.quotient)
    )
  )
  for (const [i, result] of results.entries()) {
    if (i % 5 === 0) t.match(result, { status: 'rejected', reason: { code: '22012' } })
    else t.match(result, { status: 'fulfilled', value: Math.floor(100 / (i % 5)) })
  }
})

t.test('a statement that runs too long is cancelled, and the others continue', async (t) => {
  const { db } = await openDatabase(t, { statement_timeout: '200ms' })
  const pids = async () => {
    const pid = db.selectNoFrom([sql<number>`pg_backend_pid()`.as('pid'), sql`pg_sleep(0.02)`.as('slept')])
    const rows = await Promise.all(Array.from({ length: 50 }, () => pid.executeTakeFirstOrThrow()))
    return new Set(rows.map((row) => row.pid).sort())
  }
  const before = await pids()
  const [slow, ...others] = await Promise.all([
    caught(sleepFor(db, 5)),
    ...Array.from({ length: 20 }, () => pidOf(db)),
    caught(inTransaction(db, (trx) => sleepFor(trx, 5)))
  ])
  t.match(slow, { code: '57014' })
  t.ok(isUnavailable(slow))
  t.match(others.pop(), { code: '57014' }, 'in a transaction too')
  t.ok(others.every((pid) => before.has(pid as number)))
  t.same(await pids(), before, 'on the same connections')
  t.ok(await inTransaction(db, (trx) => pidOf(trx)))
})

t.test('the wait for a lock is limited', async (t) => {
  const { db } = await openDatabase(t, { lock_timeout: '200ms' })
  const account = randomBytes(32)
  await pidOfWrite(db, account)
  const update = (on: Database) =>
    on.updateTable('login_failures').set({ address: '::3' }).where('account', '=', account).execute()
  await inTransaction(db, async (trx) => {
    await update(trx)
    const error = await caught(update(db))
    t.match(error, { code: '55P03' })
    t.ok(isUnavailable(error))
  })
})

t.test('every connection has timeouts for statements, locks and idle transactions', async (t) => {
  const { db } = await openDatabase(t)
  const settings = (on: Database) =>
    on
      .selectNoFrom([
        sql<string>`current_setting('statement_timeout')`.as('statement'),
        sql<string>`current_setting('lock_timeout')`.as('lock'),
        sql<string>`current_setting('idle_in_transaction_session_timeout')`.as('idle')
      ])
      .execute()
  const expected = [{ statement: '10s', lock: '5s', idle: '10s' }]
  t.same(await settings(db), expected, 'for reads')
  t.same(await inTransaction(db, settings), expected, 'for transactions')
})

t.test('idle connections that the server terminates are replaced', async (t) => {
  const { db, errors } = await openDatabase(t)
  await Promise.all([pidOf(db), pidOf(db), pidOfWrite(db), inTransaction(db, (trx) => pidOfWrite(trx))])
  const ended = await terminateAll(db)
  t.ok(ended > 0)
  await eventually(() => errors.length === ended, 'each error is reported')
  t.ok(errors.every(isUnavailable))
  await Promise.all([pidOf(db), pidOf(db), pidOfWrite(db), inTransaction(db, (trx) => pidOfWrite(trx))])
})

t.test('connections that the server terminates fail only their running statements', async (t) => {
  const { db } = await openDatabase(t)
  const account = randomBytes(32)
  const failures = [
    caught(sleepFor(db, 5)),
    caught(sleepFor(db, 5)),
    caught(sql`select pg_sleep(5)`.execute(db)),
    caught(
      inTransaction(db, async (trx) => {
        await pidOfWrite(trx, account)
        await sleepFor(trx, 5)
      })
    )
  ]
  const client = new pg.Client({ connectionString: made.url })
  await client.connect()
  const asleep = `from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()`
  await eventually(async () => {
    const { rows } = await client.query(`select ${asleep}`)
    return rows.length === failures.length
  }, 'all are asleep')
  await client.query(`select pg_terminate_backend(pid, 5000) ${asleep}`)
  await client.end()
  for (const error of await Promise.all(failures)) {
    t.ok(isUnavailable(error), String(error))
  }
  await Promise.all([pidOf(db), pidOf(db), pidOfWrite(db), inTransaction(db, (trx) => pidOfWrite(trx))])
  t.equal(await countOf(db, account), 0)
})

t.test('a connection that ends between two statements fails only its transaction', async (t) => {
  const { db, errors } = await openDatabase(t)
  const account = randomBytes(32)
  const error = await caught(
    inTransaction(db, async (trx) => {
      await pidOfWrite(trx, account)
      await terminateAll(db)
      await eventually(() => errors.length > 0, 'the end of a connection is noticed')
      await pidOfWrite(trx, account)
    })
  )
  t.ok(isUnavailable(error), String(error))
  t.equal(await countOf(db, account), 0)
})

t.test('a transaction rejects with its own error, even if its connection has ended', async (t) => {
  const { db, errors } = await openDatabase(t)
  const stop = new Error('stop')
  const error = await caught(
    inTransaction(db, async () => {
      await terminateAll(db)
      await eventually(() => errors.length > 0, 'the end of a connection is noticed')
      throw stop
    })
  )
  t.equal(error, stop)
})

t.test('a failed statement keeps its connection', async (t) => {
  const { db } = await openDatabase(t, { connections: 4 })
  const pid = await pidOfWrite(db)
  const error = await caught(
    sql`insert into users select from users u join users v on true where 1 / 0 = 1`.execute(db)
  )
  t.ok(isDatabaseError(error))
  t.equal(await pidOfWrite(db), pid)
  await caught(inTransaction(db, (trx) => sql`select 1 / 0`.execute(trx)))
  t.equal(await pidOfWrite(db), pid)
})

t.test('the wait for a connection of the pool is limited', async (t) => {
  const { db } = await openDatabase(t, { connections: 4, connectionTimeoutMillis: 200 })
  await inTransaction(db, async () => {
    const from = performance.now()
    const [write, transaction] = await Promise.all([
      caught(pidOfWrite(db)),
      caught(inTransaction(db, (trx) => pidOf(trx)))
    ])
    const waited = performance.now() - from
    t.ok(isUnavailable(write), String(write))
    t.ok(isUnavailable(transaction), String(transaction))
    t.ok(waited > 150 && waited < 4_500, `after ${waited} ms`)
    t.ok(await pidOf(db), 'reads do not wait for the pool')
  })
  t.ok(await pidOfWrite(db), 'it works when a connection is free')
})

t.test('connections to a silent server are dropped after one timeout', async (t) => {
  const proxy = await startProxy(t, made.url)
  const goSilent = () => {
    proxy.stall()
    proxy.restore()
  }
  const cases: [string, (db: Database, inTheMiddle: () => void) => Promise<unknown>][] = [
    ['a read', pidOf],
    ['a write', (db) => pidOfWrite(db)],
    ['a transaction', (db) => inTransaction(db, (trx) => pidOfWrite(trx))],
    [
      'the middle of a transaction',
      (db, inTheMiddle) =>
        inTransaction(db, async (trx) => {
          await pidOfWrite(trx)
          inTheMiddle()
          return pidOfWrite(trx)
        })
    ]
  ]
  for (const [name, work] of cases) {
    const { db } = await openDatabase(t, { connectionString: proxy.url, connections: 4, query_timeout: 400 })
    await work(db, () => {})
    if (!name.includes('middle')) goSilent()
    const from = performance.now()
    const error = await caught(work(db, goSilent))
    t.ok(isUnavailable(error), `${name}: ${error}`)
    t.ok(performance.now() - from < 4_000, `${name} fails in time`)
    t.ok(await work(db, () => {}), `${name} works the next time`)
    proxy.cut()
  }
})

t.test('closing does not wait indefinitely for a silent server', async (t) => {
  const proxy = await startProxy(t, made.url)
  const db = createDatabase({ connectionString: proxy.url })
  await Promise.all([pidOf(db), pidOf(db), pidOfWrite(db)])
  proxy.stall()
  const from = performance.now()
  await db.destroy()
  t.ok(performance.now() - from < 6_000)
})

t.test('connecting to a server that accepts connections but does not respond times out', async (t) => {
  const proxy = await startProxy(t, made.url)
  const { db } = await openDatabase(t, { connectionString: proxy.url, connectionTimeoutMillis: 300 })
  proxy.stall()
  const from = performance.now()
  const errors = await Promise.all([caught(pidOf(db)), caught(pidOfWrite(db)), caught(pidOf(db))])
  for (const error of errors) t.ok(isUnavailable(error), String(error))
  t.ok(performance.now() - from < 6_000)
  proxy.restore()
  t.ok(await pidOf(db))
  t.ok(await pidOfWrite(db))
})

t.test('a server that refuses connections is unavailable, and is used again when it is back', async (t) => {
  const proxy = await startProxy(t, made.url)
  const { db } = await openDatabase(t, { connectionString: proxy.url })
  await Promise.all([pidOf(db), pidOfWrite(db)])
  proxy.refuse()
  for (let i = 0; i < 3; i++) {
    const works = [pidOf(db), pidOfWrite(db), inTransaction(db, (trx) => pidOf(trx))]
    for (const error of await Promise.all(works.map(caught))) {
      t.ok(isUnavailable(error), String(error))
    }
  }
  proxy.restore()
  t.ok(await pidOf(db))
  t.ok(await pidOfWrite(db))
})

const failuresOf = prepared((db, p: Params<{ account: Buffer; address: string }>) =>
  db
    .selectFrom('login_failures')
    .where('account', '=', p.account)
    .where('address', '=', p.address)
    .where('at', '>', sql<Date>`now() - make_interval(mins => ${5})`)
    .orderBy('id')
    .select(['id', 'account', 'address'])
)

t.test('a prepared query returns the right rows for each set of parameters', async (t) => {
  const { db } = await openDatabase(t)
  const accounts = Array.from({ length: 20 }, () => randomBytes(32))
  for (const [i, account] of accounts.entries()) {
    for (let n = 0; n < i; n++) {
      await db.insertInto('login_failures').values({ id: randomUUID(), account, address: '::1' }).execute()
    }
  }
  const all = await Promise.all(accounts.map((account) => failuresOf(db, { account, address: '::1' })))
  for (const [i, rows] of all.entries()) {
    t.equal(rows.length, i)
    t.ok(rows.every((row) => row.account.equals(accounts[i]!)))
  }
  t.same(await failuresOf(db, { account: accounts[5]!, address: '::2' }), [], 'parameters are not swapped')
  t.same(await failuresOf(db, { address: '::2', account: accounts[5]! }), [], 'in any order of properties')
})

t.test('a prepared query runs in the transaction that it is called in', async (t) => {
  const { db } = await openDatabase(t)
  const account = randomBytes(32)
  await caught(
    inTransaction(db, async (trx) => {
      await pidOfWrite(trx, account)
      t.equal((await failuresOf(trx, { account, address: '::1' })).length, 1)
      t.equal((await failuresOf(db, { account, address: '::1' })).length, 0)
      throw new Error('stop')
    })
  )
  t.equal((await failuresOf(db, { account, address: '::1' })).length, 0)
})

const lookUpPid = prepared(
  (db, p: Params<{ id: string }>) =>
    db.selectNoFrom([sql<number>`pg_backend_pid()`.as('pid'), sql<string>`${p.id}::text`.as('id')]),
  { batch: { id: 'text' } }
)

t.test('batched reads are one statement, and each returns its own rows', async (t) => {
  const { db } = await openDatabase(t)
  type Asked = { text: string; count: number; bytes: Buffer; list: (string | null)[]; time: Date | null }
  const types = { text: 'text', count: 'int', bytes: 'bytea', list: 'text[]', time: 'timestamptz' }
  const build = (db: Kysely<Tables>, p: Params<Asked>) =>
    db
      .selectFrom(sql`generate_series(1, ${p.count}::int)`.as<'s'>(sql`s(n)`))
      .select([
        sql<number>`n`.as('n'),
        sql<string>`${p.text}::text`.as('text'),
        sql<Buffer>`${p.bytes}::bytea`.as('bytes'),
        sql<string[]>`${p.list}::text[]`.as('list'),
        sql<Date | null>`${p.time}::timestamptz`.as('time'),
        sql<string>`statement_timestamp()::text`.as('statement')
      ])
      .orderBy(sql`n`, 'desc')
  const read = prepared(build, { batch: types })
  const odd = ['', 'null', '\\x00', `" ' \\ \t\n é 🔑 {}`, '$1']
  const asked = odd.map((text, i) => ({
    text,
    count: i,
    bytes: Buffer.from([i, 0, 255]),
    list: i === 2 ? [] : [text, null, 'x,"y'],
    time: i % 2 ? new Date(`2026-01-02T03:04:05.00${i}Z`) : null
  }))
  const answers = await Promise.all(asked.map((one) => read(db, one)))
  for (const [i, { count, ...one }] of asked.entries()) {
    const numbers = Array.from({ length: count }, (_, n) => count - n)
    t.same(
      answers[i]!.map(({ statement: _, ...row }) => row),
      numbers.map((n) => ({ n, ...one, batch_index: i }))
    )
  }
  t.equal(new Set(answers.flat().map(({ statement }) => statement)).size, 1)

  const wrong = { ...asked[1]!, list: null as never, time: 'no time' as never }
  const results = await Promise.allSettled([asked[1]!, wrong, asked[3]!].map((one) => read(db, one)))
  t.match(results, [
    { status: 'fulfilled', value: [{ text: 'null' }] },
    { status: 'rejected', reason: { code: '22007' } },
    { status: 'fulfilled', value: [{ n: 3 }, { n: 2 }, { n: 1 }] }
  ])
  await inTransaction(db, async (trx) => {
    const [one] = await read(trx, asked[1]!)
    t.equal(one!.text, 'null')
    t.notOk('batch_index' in one!, 'in a transaction, it is not batched')
  })
})

t.test('batched look-ups do not share a connection with other reads', async (t) => {
  const { db } = await openDatabase(t, { connections: 4 })
  const reads = new Set(await Promise.all(Array.from({ length: 12 }, () => pidOf(db))))
  for (let i = 0; i < 2; i++) {
    const [row] = await lookUpPid(db, { id: `${i}` })
    t.equal(row?.id, `${i}`)
    t.notOk(reads.has(row!.pid))
  }
  await inTransaction(db, async (trx) => {
    t.equal(
      (await lookUpPid(trx, { id: 'x' }))[0]?.pid,
      await pidOf(trx),
      'in a transaction, it uses its connection'
    )
  })
})

t.test('a select that begins with a with clause runs in its pool', async (t) => {
  const { db } = await openDatabase(t, { connections: 4 })
  const pids = new Set<number>()
  for (const pool of ['reads', 'longReads'] as const) {
    const read = prepared(
      (of, p: Params<{ id: string }>) =>
        of
          .with('one', (q) => q.selectNoFrom(sql<number>`pg_backend_pid()`.as('pid')))
          .selectFrom('one')
          .where(sql<boolean>`${p.id}::text is not null`)
          .select('one.pid'),
      { pool }
    )
    await inTransaction(db, async (trx) => {
      // The transaction occupies the only connection for writes.
      pids.add((await read(db, { id: 'x' }))[0]!.pid)
      t.equal(
        (await read(trx, { id: 'x' }))[0]?.pid,
        await pidOf(trx),
        'in a transaction, it uses its connection'
      )
    })
  }
  t.equal(pids.size, 2)
})

t.test('a prepared statement still works after a migration changes a column type', async (t) => {
  const { db } = await openDatabase(t)
  const account = randomBytes(32)
  await pidOfWrite(db, account)
  const found = async () => (await failuresOf(db, { account, address: '::1' })).length
  // Prepares the statement on several connections.
  await Promise.all([found(), found(), found(), found()])
  await sql`alter table login_failures alter column address type varchar(500)`.execute(db)
  t.same(await Promise.all([found(), found(), found()]), [1, 1, 1])
  await sql`alter table login_failures alter column address type text`.execute(db)
  t.same(await Promise.all([found(), found(), found()]), [1, 1, 1])
})

t.test('int8 and count() are returned as numbers', async (t) => {
  const { db } = await openDatabase(t)
  const row = await db
    .selectNoFrom([sql`9007199254740991::int8`.as('big'), sql`count(*)`.as('count')])
    .executeTakeFirstOrThrow()
  t.same(row, { big: 9_007_199_254_740_991, count: 1 })
})

t.test('closing waits for running statements and closes all connections', async (t) => {
  const name = randomBytes(8).toString('hex')
  const db = createDatabase({ connectionString: made.url, application_name: name })
  const underWay = [sleepFor(db, 2), inTransaction(db, (trx) => sleepFor(trx, 2))]
  await eventually(async () => {
    const { rows } = await sql`select from pg_stat_activity
      where application_name = ${name} and wait_event = 'PgSleep'`.execute(made.db)
    return rows.length === 2
  }, 'both run')
  await Promise.all([...underWay, db.destroy()])
  t.ok(await caught(pidOf(db)), 'later statements are rejected')
  await eventually(async () => {
    const { rows } = await sql<{ open: number }>`select count(*) as open from pg_stat_activity
      where application_name = ${name}`.execute(made.db)
    return rows[0]?.open === 0
  }, 'the server knows that they are closed')
})

t.test('which errors mean that the database is unavailable', async (t) => {
  const refused = async (options: pg.ClientConfig) => {
    const client = new pg.Client(options)
    client.on('error', () => {})
    return caught(client.connect())
  }
  const away = [
    await refused({ host: '/nowhere/at/all', port: 1 }),
    await refused({ host: '127.0.0.1', port: 1 }),
    await refused({ host: 'nowhere.invalid', port: 1 })
  ]
  for (const error of away) t.ok(isUnavailable(error), String(error))
  const code = (sqlstate: string) =>
    Object.assign(new pg.DatabaseError('words', 5, 'error'), { code: sqlstate })
  for (const sqlstate of [
    '25006',
    '57P01',
    '57P03',
    '53300',
    '53100',
    '08006',
    '40001',
    '40P01',
    '55P03',
    '57014'
  ]) {
    t.ok(isUnavailable(code(sqlstate)), sqlstate)
  }
  for (const sqlstate of ['23505', '22P02', '42P01', '42703', 'XX000']) {
    t.notOk(isUnavailable(code(sqlstate)), sqlstate)
  }
  for (const other of [new Error('no'), new TypeError('x is undefined'), 'a string', undefined, null, {}]) {
    t.notOk(isUnavailable(other), String(other))
  }
  const noFile = Object.assign(new Error('ENOENT'), { code: 'ENOENT', syscall: 'open' })
  t.notOk(isUnavailable(noFile), 'a missing file is not a missing database')
})

t.test('the constraint that an error violates', async (t) => {
  const { db } = await openDatabase(t)
  const user = {
    id: randomUUID(),
    email: 'ann@example.org',
    name: 'Ann',
    name_key: 'ann',
    password_hash: '',
    role: 'user' as const
  }
  await db.insertInto('users').values(user).execute()
  const error = await caught(
    db
      .insertInto('users')
      .values({ ...user, id: randomUUID(), email: 'ANN@example.org' })
      .execute()
  )
  t.ok(violates(error, 'users_email_key'))
  t.notOk(violates(error, 'users_pkey'))
  t.notOk(violates(new Error('users_email_key'), 'users_email_key'))
})
