// The service behind PgBouncer in transaction mode, with the file on the page about high availability.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { compare } from '../golden/compare.ts'
import { record } from '../golden/story.ts'
import { createTestDatabase, SERVICE_ROLE } from '../helpers/database.ts'
import { type Bed, makeBed } from './bed.ts'
import { Ledger, recoveryOf } from './ledger.ts'
import { findPgbouncers, startPgbouncer } from './pgbouncer.ts'
import { serviceIn } from './replicas.ts'

t.setTimeout(180_000)

const { user, host, port } = new pg.Client({ connectionString: process.env['TEST_DATABASE_URL'] })
/** Starts a PgBouncer in front of the test run's Postgres, which requires no password. */
const start = (bed: Bed, program: string, more = '') =>
  startPgbouncer(bed, {
    program,
    server: `host=${host} port=${port}`,
    users: { [user!]: 'secret', [SERVICE_ROLE]: 'secret' },
    more
  })
const { recent, old } = await findPgbouncers()
const withRecent = recent
  ? {}
  : { skip: 'PgBouncer 1.21 or later is not installed: see test/ops/build-pgbouncer.sh' }

async function newDatabase(t: Test) {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  return database
}

t.test('every operation responds as without PgBouncer', withRecent, async (t) => {
  const pooler = await start(await makeBed(t), recent!)
  await compare(t, await record(pooler.through))
})

t.test('a small pool and a restart of PgBouncer lose no acknowledged change', withRecent, async (t) => {
  const database = await newDatabase(t)
  const bed = await makeBed(t)
  const pooler = await start(bed, recent!, 'default_pool_size = 3\n')
  const service = await serviceIn(t, bed)
  const replicas = []
  for (let count = 0; count < 2; count++) replicas.push(await service.start(pooler.through(database.url)))
  const ledger = new Ledger(
    t,
    replicas.map(({ admin }) => admin)
  )
  const refused = () => ledger.accounts.map(({ refused }) => refused)
  await sleep(3_000)
  t.same(refused(), [0, 0], 'a pool of 3 serves two replicas without refusals')
  await pooler.reconnect()
  await sleep(2_000)
  t.same(refused(), [0, 0], 'reconnecting to the server refuses no request')
  await pooler.kill()
  await sleep(1_000)
  await pooler.start()
  const startedAt = Date.now()
  await sleep(3_000)
  await ledger.stop()
  t.same(ledger.faults.slice(0, 10), [], `${ledger.faults.length} faults`)
  for (const account of ledger.accounts) {
    const { acknowledged, slowestMs } = account
    const recoveryMs = recoveryOf(account, startedAt)
    t.ok(
      recoveryMs < 2_000,
      `writes again after ${recoveryMs} ms; ${acknowledged} acknowledged, ${account.refused} refused`
    )
    t.ok(slowestMs < 6_000, `the slowest answer took ${slowestMs} ms`)
  }
})

t.test('timeouts apply behind PgBouncer', withRecent, async (t) => {
  const database = await newDatabase(t)
  const bed = await makeBed(t)
  const pooler = await start(bed, recent!)
  const service = await serviceIn(t, bed)
  const { admin } = await service.start(pooler.through(database.url))
  const create = async (name: string) => {
    const body = { credentialName: name, credentialType: 'basic-auth', values: { username: 'x' } }
    const { json } = await admin.post('/api/v1/app-credentials', body)
    return `/api/v1/app-credentials/${json.id}`
  }
  const [locked, slow] = [await create('locked'), await create('slow')]
  await sql`create function wait() returns trigger language plpgsql as
    $$ begin perform pg_sleep(30); return new; end $$`.execute(database.db)
  await sql`create trigger wait before update on credentials for each row
    when (new.name = 'slow, changed') execute function wait()`.execute(database.db)
  const timed = async (path: string, body: object) => {
    const startedAt = Date.now()
    const { status } = await admin.put(path, body)
    return { status, ms: Date.now() - startedAt }
  }
  const client = new pg.Client({ connectionString: database.ownerUrl })
  await client.connect()
  t.teardown(() => client.end())
  await client.query('begin')
  await client.query(`select from credentials where name = 'locked' for update`)
  const [behindLock, ofSlow] = await Promise.all([
    timed(locked, { description: 'changed' }),
    timed(slow, { credentialName: 'slow, changed' })
  ])
  t.equal(behindLock.status, 503)
  t.ok(behindLock.ms > 4_500 && behindLock.ms < 7_000, `lock_timeout: ${behindLock.ms} ms`)
  t.equal(ofSlow.status, 503)
  t.ok(ofSlow.ms > 9_500 && ofSlow.ms < 12_000, `statement_timeout: ${ofSlow.ms} ms`)
})

/** Starts the service, which must fail, and returns its output. */
async function refusal(t: Test, program: string, more = ''): Promise<string> {
  const database = await newDatabase(t)
  const bed = await makeBed(t)
  const pooler = await start(bed, program, more)
  const service = await serviceIn(t, bed)
  const starting = service.run({ DATABASE_URL: pooler.through(database.url) })
  t.equal(await starting.exited, 1)
  return starting.output().trim()
}

t.test('a failed start names a PgBouncer without prepared statements', withRecent, async (t) => {
  t.match(
    await refusal(t, recent!, 'max_prepared_statements = 0\n'),
    /^latchkey: .*max_prepared_statements.*$/
  )
})

const withOld = old ? {} : { skip: 'a PgBouncer before 1.21 is not installed' }
t.test('a failed start names a PgBouncer that is too old', withOld, async (t) => {
  t.match(await refusal(t, old!), /^latchkey: .*PgBouncer.*1\.21.*$/)
})
