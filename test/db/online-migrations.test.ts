// Runs test migrations after those of this version, on a database that is in use.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { createDatabase, type Database, inTransaction } from '../../src/db/database.ts'
import { migrate, migrateFor, WITHOUT_LIMITS } from '../../src/db/migrate.ts'
import { MIGRATIONS } from '../../src/db/migration-files.ts'
import { createTestDatabase, SERVICE_ROLE } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { startProcess } from '../helpers/process.ts'

const MIGRATE = join(import.meta.dirname, '../fixtures/migrate.ts')
const NAME = '29990101T000000_later'
const ROWS = 5_000

async function withMigration(t: Test, text: string) {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  await sql`create table things (id integer primary key, name text, key text)`.execute(database.db)
  await sql`insert into things select n, 'Thing ' || n from generate_series(1, ${ROWS}) n`.execute(
    database.db
  )
  const folders = [MIGRATIONS, t.testdir({ [`${NAME}.ts`]: `import { sql } from 'kysely'\n${text}` })]
  return { ...database, folders }
}

const INDEX = 'create unique index concurrently things_name on things (name)'
const INDEXES = `export const indexes = ['${INDEX}']`

async function indexes(db: Database) {
  const { rows } = await sql<{ valid: boolean }>`select indisvalid as valid from pg_index
    where indexrelid = to_regclass('things_name')`.execute(db)
  return rows
}

t.test('an index is created while others write to the table', async (t) => {
  const { db, ownerUrl, folders } = await withMigration(t, INDEXES)
  const migrating = createDatabase({ connectionString: ownerUrl, ...WITHOUT_LIMITS })
  t.teardown(() => migrating.destroy())
  let ran: Promise<string[]> | undefined
  await inTransaction(db, async (trx) => {
    await sql`update things set key = name where id = 1`.execute(trx)
    ran = migrate(migrating, { folders })
    await eventually(async () => {
      const { rows } = await sql`select from pg_stat_activity
        where query = ${INDEX} and wait_event_type = 'Lock'`.execute(db)
      return rows.length > 0
    }, 'the index waits for the transaction')
    const began = performance.now()
    await sql`update things set key = name where id = 2`.execute(db)
    t.ok(performance.now() - began < 2_500, 'others do not wait for the index')
    // Longer than the statement and lock timeouts of the service.
    await sleep(5_500)
  })
  t.same(await ran, [NAME])
  t.same(await indexes(db), [{ valid: true }])
})

t.test('an interrupted index is created again', async (t) => {
  const { db, folders } = await withMigration(t, INDEXES)
  await sql`insert into things values (0, 'Thing 1')`.execute(db)
  await t.rejects(sql.raw(INDEX).execute(db), { code: '23505' })
  t.same(await indexes(db), [{ valid: false }])
  await sql`delete from things where id = 0`.execute(db)
  t.same(await migrate(db, { folders }), [NAME])
  t.same(await indexes(db), [{ valid: true }])
})

t.test('an index whose process was killed is created by the next process', async (t) => {
  const { db, ownerUrl, folders } = await withMigration(t, INDEXES)
  const building = async () => {
    const { rows } = await sql<{ pid: number }>`select pid from pg_stat_activity
      where query = ${INDEX} and wait_event_type = 'Lock'`.execute(db)
    return rows.length
  }
  let ran: Promise<string[]> | undefined
  await inTransaction(db, async (trx) => {
    await sql`update things set key = name where id = 1`.execute(trx)
    const first = startProcess(t, '/', {}, [MIGRATE, ownerUrl, folders[1]!])
    await eventually(async () => (await building()) === 1, 'the index waits for the transaction', 30_000)
    first.child.kill('SIGKILL')
    await first.exited
    // The statement is still running on the server.
    t.equal(await building(), 1)
    ran = migrate(db, { folders })
    await sleep(3_000)
  })
  t.same(await ran, [NAME])
  t.same(await indexes(db), [{ valid: true }])
  t.equal(await building(), 0)
})

t.test('the error for an index that cannot be created names it, and nothing is left', async (t) => {
  const { db, folders } = await withMigration(t, INDEXES)
  await sql`insert into things values (0, 'Thing 1')`.execute(db)
  await t.rejects(migrate(db, { folders }), {
    message: `migration ${NAME}: could not create unique index "things_name"`
  })
  t.same(await indexes(db), [])
})

const BATCH = `export const batch = async (db, after = '0') => {
  const { rows } = await sql\`with chosen as (
      select id from things where id > \${after}::int and key is null
      order by id limit 500 for update)
    update things set key = lower(name) from chosen where things.id = chosen.id
    returning things.id\`.execute(db)
  return rows.length < 500 ? undefined : String(Math.max(...rows.map(({ id }) => id)))
}`

t.test('batches are separate transactions, and a crash between them loses none', async (t) => {
  const { db, ownerUrl, folders } = await withMigration(t, BATCH)
  // The seventh batch fails.
  await sql
    .raw(`create function fail() returns trigger language plpgsql as $$ begin
    if new.id > 3200 then raise exception 'not yet'; end if; return new; end $$`)
    .execute(db)
  await sql`create trigger fail before update on things for each row execute function fail()`.execute(db)
  await t.rejects(migrate(db, { folders }), { message: `migration ${NAME}: not yet` })
  const done = async () => {
    const { rows } = await sql<{ count: number }>`select count(*) from things where key is not null`.execute(
      db
    )
    return rows[0]!.count
  }
  t.equal(await done(), 3_000)
  await sql`drop trigger fail on things`.execute(db)
  const second = createDatabase({ connectionString: ownerUrl })
  t.teardown(() => second.destroy())
  const ran = await Promise.all([migrate(db, { folders }), migrate(second, { folders })])
  t.same(ran.flat(), [NAME], 'one of the two processes runs it')
  t.equal(await done(), ROWS)
})

t.test('a batch waits for a locked row, and continues', async (t) => {
  const { db, folders } = await withMigration(t, BATCH)
  const lines: string[] = []
  const ran = await inTransaction(db, async (trx) => {
    await sql`select from things where id = 2000 for update`.execute(trx)
    const ran = migrate(db, { folders, notice: (line) => lines.push(line) })
    await eventually(() => lines.length > 0, 'it says that it waits')
    return { end: ran }
  })
  t.same(await ran.end, [NAME])
  t.same(lines, ['Waiting for other transactions to end: canceling statement due to lock timeout'])
})

t.test('a migration that waits for a lock blocks others only briefly', async (t) => {
  const { db, folders, ownerUrl } = await withMigration(
    t,
    `export const up = (db) => sql\`alter table things add note text\`.execute(db)`
  )
  const migrating = createDatabase({ connectionString: ownerUrl })
  t.teardown(() => migrating.destroy())
  const lines: string[] = []
  let ran: Promise<string[]> | undefined
  let longest = 0
  await inTransaction(db, async (reader) => {
    await sql`select from things limit 1`.execute(reader)
    ran = migrate(migrating, { folders, notice: (line) => lines.push(line) })
    for (const end = performance.now() + 5_000; performance.now() < end; ) {
      const began = performance.now()
      await sql`select count(*) from things where id = 1`.execute(db)
      longest = Math.max(longest, performance.now() - began)
      await sleep(5)
    }
  })
  t.same(await ran, [NAME])
  t.ok(longest > 300, `${longest} ms: the migration was in the way`)
  t.ok(longest < 2_500, `${longest} ms`)
  t.same(lines, [
    `Waiting for other transactions to end: migration ${NAME}: canceling statement due to lock timeout`
  ])
})

t.test('the service role may use a new table even if a later migration fails', async (t) => {
  const { db, url, folders } = await withMigration(
    t,
    `export const up = async (db) => {
      await sql\`drop table login_failures\`.execute(db)
      await sql\`create table login_failures (id uuid primary key)\`.execute(db)
    }`
  )
  const failing = t.testdir({ '29990102T000000_fails.ts': `export const indexes = ['none']` })
  await t.rejects(migrateFor(db, SERVICE_ROLE, { folders: [...folders, failing] }), {
    message: /^migration 29990102T000000_fails: this is not "create index concurrently/
  })
  const service = createDatabase({ connectionString: url })
  t.teardown(() => service.destroy())
  t.same((await sql`select id from login_failures`.execute(service)).rows, [])
})

t.test('a migration file without exports, or with two of them, is refused', async (t) => {
  for (const text of ['', `export const up = () => {}\n${INDEXES}`]) {
    const { db, folders } = await withMigration(t, text)
    await t.rejects(migrate(db, { folders }), {
      message: `migration ${NAME} must export exactly one of up, indexes and batch`
    })
  }
})
