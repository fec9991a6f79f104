import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { createDatabase, type Database, inTransaction, lockName } from '../../src/db/database.ts'
import { migrate, migrateFor } from '../../src/db/migrate.ts'
import { MIGRATIONS } from '../../src/db/migration-files.ts'
import { createTestDatabase, SERVICE_ROLE } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'

async function emptyDatabase(t: Test) {
  const made = await createTestDatabase({ empty: true })
  t.teardown(made.drop)
  return made
}

/** Describes the schema, one line for each column, index, constraint and extension. */
async function schemaOf(db: Database): Promise<string[]> {
  const { rows } = await sql<{ line: string }>`
    select format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default) as line
      from information_schema.columns where table_schema = 'public'
    union all
    select indexdef from pg_indexes where schemaname = 'public'
    union all
    select format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
      from pg_constraint where connamespace = 'public'::regnamespace
    union all
    select format('extension %s', extname) from pg_extension
    order by 1`.execute(db)
  return rows.map((row) => row.line)
}

t.test('on an empty database every migration runs, and the second time none does', async (t) => {
  const { db } = await emptyDatabase(t)
  const ran = await migrate(db)
  t.ok(ran.length >= 1)
  t.same(ran, [...ran].sort(), 'in order')
  const schema = await schemaOf(db)
  t.ok(schema.length > 100)
  t.same(await migrate(db), [])
  t.same(await schemaOf(db), schema)
})

t.test('replicas that start together on an empty database run each migration once', async (t) => {
  const once = await emptyDatabase(t)
  const steps = await migrate(once.db)
  const made = await emptyDatabase(t)
  const replicas = Array.from({ length: 4 }, () => createDatabase({ connectionString: made.url }))
  const ran = await Promise.all(replicas.map((db) => migrate(db)))
  await Promise.all(replicas.map((db) => db.destroy()))
  t.same(ran.flat().sort(), steps, 'each migration ran once')
  t.same(await schemaOf(made.db), await schemaOf(once.db))
})

t.test('the error for a failed migration has its name and the reason', async (t) => {
  const { db } = await emptyDatabase(t)
  const steps = await migrate(db)
  const last = steps.at(-1)!
  await sql`delete from schema_migrations where name = ${last}`.execute(db)
  const schema = await schemaOf(db)
  const message = new RegExp(`^migration ${last}: .*(does not exist|already exists.*)$`)
  await t.rejects(migrate(db), { message, cause: { code: /^42/ } })
  t.same(await schemaOf(db), schema)
})

t.test('an interrupted migration leaves nothing behind, and runs the next time', async (t) => {
  const made = await emptyDatabase(t)
  const before = await schemaOf(made.db)
  const replica = createDatabase({ connectionString: made.url, application_name: 'cut-off' })
  await inTransaction(made.db, async (trx) => {
    // The migration waits at this table, after creating many others.
    await sql`create table credentials ()`.execute(trx)
    const cut = migrate(replica).then(
      () => t.fail('it was not interrupted'),
      () => t.pass('it failed')
    )
    await eventually(async () => {
      const { rows } = await sql`select 1 from pg_stat_activity
        where application_name = 'cut-off' and wait_event_type = 'Lock'`.execute(made.db)
      return rows.length > 0
    }, 'the migration waits')
    await sql`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'cut-off'`.execute(made.db)
    await cut
    await sql`drop table credentials`.execute(trx)
  })
  t.same(await schemaOf(made.db), before)
  t.ok((await migrate(replica)).length >= 1)
  await replica.destroy()
})

t.test('after a process ends between two migrations, the next one continues', async (t) => {
  const once = await emptyDatabase(t)
  const steps = await migrate(once.db)
  const made = await emptyDatabase(t)
  const folder = t.testdir()
  for (const step of steps) {
    await symlink(join(MIGRATIONS, `${step}.ts`), join(folder, `${step}.ts`))
    t.same(await migrate(made.db, { folders: [folder] }), [step])
  }
  t.same(await schemaOf(made.db), await schemaOf(once.db))
})

t.test('a process waits without limit while another one migrates, and says so', async (t) => {
  const made = await emptyDatabase(t)
  const replica = createDatabase({ connectionString: made.url })
  t.teardown(() => replica.destroy())
  const lines: string[] = []
  const waiting = await inTransaction(made.db, async (trx) => {
    await lockName(trx, 'migrate')
    const waiting = migrate(replica, { notice: (line) => lines.push(line) })
    await eventually(() => lines.length > 0, 'it says that it waits')
    await sleep(3_000)
    return { end: waiting }
  })
  t.ok((await waiting.end).length >= 1)
  t.same(lines, ['Waiting for another process to finish migrating the database…'], 'once')
})

t.test('the privileges of a role are granted if an earlier process ended before granting them', async (t) => {
  const made = await emptyDatabase(t)
  await migrate(made.db)
  const rights = () =>
    sql`select from information_schema.role_table_grants
    where grantee = ${SERVICE_ROLE} and table_name = 'credentials'`.execute(made.db)
  t.equal((await rights()).rows.length, 0)
  t.same(await migrateFor(made.db, SERVICE_ROLE), [])
  t.ok((await rights()).rows.length > 0)
})
