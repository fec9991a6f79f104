import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { createDatabase, type Database } from '../../src/db/database.ts'
import { GRANTS } from '../../src/db/grants.ts'
import { migrate, migrateFor } from '../../src/db/migrate.ts'
import { startTestApp } from '../helpers/app.ts'
import { createTestDatabase, SERVICE_ROLE } from '../helpers/database.ts'

async function newDatabase(t: Test, options: { empty?: boolean } = {}) {
  const database = await createTestDatabase(options)
  t.teardown(database.drop)
  return database
}

/** Creates a role for one test. */
async function newRole(t: Test, db: Database, name: string, attributes = ''): Promise<string> {
  await sql.raw(`create role ${name} ${attributes}`).execute(db)
  t.teardown(async () => {
    await sql.raw(`drop owned by ${name}`).execute(db)
    await sql.raw(`drop role ${name}`).execute(db)
  })
  return name
}

const PRIVILEGES = ['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']

/** Partitions, whose names contain a date. */
const PARTITION = /^audit_(log|links)_\d{8}$/

/** Returns the privileges of the service role on each table, in the form of `GRANTS`, without partitions. */
async function privilegesIn(db: Database): Promise<Record<string, string>> {
  const rights = await allPrivilegesIn(db)
  return Object.fromEntries(Object.entries(rights).filter(([table]) => !PARTITION.test(table)))
}

async function allPrivilegesIn(db: Database): Promise<Record<string, string>> {
  const { rows } = await sql<{ table: string; rights: string }>`
    select c.relname as table, coalesce(string_agg(p, ', ' order by n) filter
      (where has_table_privilege(${SERVICE_ROLE}, c.oid, p)), '') ||
      coalesce((select ', update (' || string_agg(attname, ', ' order by attnum) || ')' from pg_attribute a
        where attrelid = c.oid and attnum > 0 and not attisdropped
          and not has_table_privilege(${SERVICE_ROLE}, c.oid, 'update')
          and has_column_privilege(${SERVICE_ROLE}, c.oid, attnum, 'update')), '') as rights
    from pg_class c, unnest(${PRIVILEGES}::text[]) with ordinality as privileges(p, n)
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
    group by c.oid, c.relname`.execute(db)
  return Object.fromEntries(rows.map(({ table, rights }) => [table, rights]))
}

t.test('GRANTS names every table, and the role has exactly these privileges', async (t) => {
  const { db } = await newDatabase(t)
  const names = Object.keys(GRANTS)
  t.ok(names.length > 15, `${names.length} tables`)
  t.same(await privilegesIn(db), GRANTS)

  await sql.raw(`grant all on audit_events, schema_migrations to ${SERVICE_ROLE}`).execute(db)
  await sql.raw(`grant update (hash) on audit_chain to ${SERVICE_ROLE}`).execute(db)
  t.notSame(await privilegesIn(db), GRANTS)
  t.same(await migrateFor(db, SERVICE_ROLE), [])
  t.same(await privilegesIn(db), GRANTS, 'other privileges are revoked')
})

t.test('the role has no privileges on partitions, despite default privileges', async (t) => {
  const { db } = await newDatabase(t)
  await sql`select audit_extend(1)`.execute(db)
  await sql`create table other (id int)`.execute(db)
  const { other, ...rights } = await allPrivilegesIn(db)
  t.match(other, /truncate/)
  await sql`drop table other`.execute(db)
  const partitions = Object.entries(rights).filter(([table]) => PARTITION.test(table))
  t.same(new Set(partitions.map(([, held]) => held)), new Set(['']))
  t.ok(partitions.length >= 2)

  const [name] = partitions[0]!
  await sql`grant delete on ${sql.table(name)} to ${sql.id(SERVICE_ROLE)}`.execute(db)
  await t.rejects(migrateFor(db, SERVICE_ROLE), { message: /: it can change the audit log$/ })
})

t.test('the role of a running service can change neither the tables nor the audit log', async (t) => {
  const service = await startTestApp(t)
  const client = new pg.Client({ connectionString: service.databaseUrl })
  await client.connect()
  t.teardown(() => client.end())
  const { rows } = await client.query('select current_user as role')
  t.same(rows, [{ role: SERVICE_ROLE }])
  const {
    rows: [{ owner }]
  } = await client.query("select tableowner as owner from pg_tables where tablename = 'users'")
  const statements = [
    'set session_replication_role = replica',
    'delete from audit_log',
    'delete from audit_events',
    'truncate audit_log',
    'truncate audit_events',
    'truncate credentials cascade',
    "update audit_events set action = 'nothing'",
    'update audit_log set count = count + 1',
    'update audit_links set position = position + 1',
    'delete from audit_links',
    'update audit_folds set event_id = gen_random_uuid()',
    'insert into audit_heads (position) values (1)',
    'delete from audit_heads',
    'insert into audit_signing_key (sealed) values (null)',
    "select audit_new_partition('audit_log', 'mine')",
    'update audit_events set count = 0, occurred_at = now()',
    'update audit_chain set position = position + 1',
    'delete from audit_chain',
    'truncate audit_chain',
    'insert into audit_unsealed select event_id, now() from audit_chain',
    'update audit_unsealed set settled_at = now()',
    'select from audit_unsealed for update',
    'delete from kysely_migration',
    'alter table audit_events disable trigger all',
    'alter table audit_events add column note text',
    'drop trigger audit_events_append_only on audit_events',
    'drop function audit_events_append_only cascade',
    'create or replace function audit_events_append_only() returns trigger language sql as $$ $$',
    'drop table audit_events',
    'create table note (text text)',
    'create temporary table audit_events (id uuid)',
    'create view note as select 1 as one',
    'create schema note',
    'create role note',
    `alter role ${SERVICE_ROLE} superuser`,
    `set role "${owner}"`,
    `set session authorization "${owner}"`,
    'create extension dblink',
    "copy users to program 'cat'",
    "copy users from '/etc/passwd'",
    "select pg_read_file('/etc/passwd')",
    "alter system set log_statement = 'all'"
  ]
  for (const statement of statements) await t.rejects(client.query(statement), { code: '42501' }, statement)
  await client.query('begin')
  const events = await client.query('select count(*) from audit_events')
  t.ok(Number(events.rows[0].count) > 0, 'it can read the log')
  await client.query('rollback')
})

t.test('a role with too many privileges is refused, and gets no grants', async (t) => {
  const { db } = await newDatabase(t)
  const { rows } = await sql<{ owner: string }>`select current_user as owner`.execute(db)
  const owner = rows[0]!.owner
  const schema = 'grant create on schema public to'
  const cases: [string, string, RegExp, string?][] = [
    ['latchkey_test_superuser', 'superuser', /: it is a superuser$/],
    ['latchkey_test_createrole', 'createrole', /: it can create roles$/],
    ['latchkey_test_member', `in role "${owner}"`, /: it owns the tables, or is a member/],
    ['latchkey_test_noinherit', `noinherit in role "${owner}"`, /: it owns the tables, or is a member/],
    ['latchkey_test_writer', 'in role pg_write_all_data', /: it can change the audit log$/],
    ['latchkey_test_creator', '', /: it can create tables in the schema$/, `${schema} latchkey_test_creator`],
    [
      'latchkey_test_switcher',
      '',
      /: it can disable triggers$/,
      'grant set on parameter session_replication_role to latchkey_test_switcher'
    ]
  ]
  for (const [name, attributes, message, statement] of cases) {
    await t.test(name, async (t) => {
      const role = await newRole(t, db, name, attributes)
      if (statement) await sql.raw(statement).execute(db)
      await t.rejects(migrateFor(db, role), { message })
      const { rows: granted } = await sql`select from information_schema.role_table_grants
        where grantee = ${role}`.execute(db)
      t.same(granted, [])
    })
  }
  await t.rejects(migrateFor(db, owner), { message: /: it is a superuser$/ })
  for (const name of ['public', 'none', 'nobody"; drop table users; --'])
    await t.rejects(migrateFor(db, name), { message: `there is no database role "${name}"` })
})

t.test('only the owner of the tables can grant privileges', async (t) => {
  const { db, url } = await newDatabase(t)
  const role = await newRole(t, db, 'latchkey_test_other')
  const service = createDatabase({ connectionString: url })
  t.teardown(() => service.destroy())
  await t.rejects(migrateFor(service, role), {
    message: `only the owner of the tables can grant "${role}" its rights`
  })
})

t.test('a role with any name can be granted the privileges', async (t) => {
  const { db } = await newDatabase(t)
  const role = await newRole(t, db, '"latchkey test ""Ä"""').then(() => 'latchkey test "Ä"')
  await migrateFor(db, role)
  const { rows } = await sql<{ can: boolean }>`
    select has_table_privilege(${role}, 'users', 'insert') as can`.execute(db)
  t.same(rows, [{ can: true }])
})

t.test('the role can start only on a fully migrated database', async (t) => {
  const { db, url, ownerUrl } = await newDatabase(t)
  const service = createDatabase({ connectionString: url })
  t.teardown(() => service.destroy())
  t.same(await migrate(service), [])

  const owner = createDatabase({ connectionString: ownerUrl })
  t.teardown(() => owner.destroy())
  const { rows } = await sql<{ name: string; timestamp: string }>`delete from kysely_migration
    where name = (select max(name) from kysely_migration) returning name, timestamp`.execute(db)
  const last = rows[0]!
  await t.rejects(migrate(service), {
    message: `migrations are pending: run "latchkey migrate" as the owner of the tables (${last.name})`
  })
  await sql`insert into kysely_migration values (${last.name}, ${last.timestamp})`.execute(db)
  await sql`insert into kysely_migration values ('29990101T000000_later', 'then')`.execute(db)
  await t.rejects(migrate(service), {
    message: 'the database has migrations that are unknown to this version: 29990101T000000_later'
  })
})
