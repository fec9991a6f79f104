import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import t from 'tap'
import { createDatabase } from '../src/db/database.ts'
import { GRANTS } from '../src/db/grants.ts'
import { migrate } from '../src/db/migrate.ts'
import { startEmbedded } from '../src/embedded/postgres.ts'
import { ensureAdministrator } from '../src/features/users/service.ts'
import { newRootKey } from '../src/root-keys/local.ts'
import { asRole, createTestDatabase } from './helpers/database.ts'
import { json, newDirectory, signIn } from './helpers/embedded-service.ts'
import { startProcess } from './helpers/process.ts'

// Starts many processes in sequence.
t.setTimeout(300_000)

t.test('the embedded default starts without configuration, and a second start keeps all data', async (t) => {
  const cwd = await newDirectory(t)
  const first = startProcess(t, cwd, {})
  const [, origin] = await first.printed(/listens on (http:\S+)/)
  const [, docs] = await first.printed(/Swagger UI: (http:\S+)/)
  const [, email, password] = await first.printed(/Administrator: (\S+), password (\S+)/)
  t.equal((await fetch(docs!)).status, 200)
  t.equal((await fetch(`${origin}/readyz`)).status, 200)
  const { status, cookie } = await signIn(origin!, email!, password!)
  t.equal(status, 200)
  const made = await fetch(`${origin}/api/v1/projects`, {
    method: 'POST',
    headers: { ...json, cookie },
    body: JSON.stringify({ name: 'Kept' })
  })
  t.equal(made.status, 201)
  for (const file of ['root.keys', 'admin.password']) {
    t.equal((await stat(join(cwd, 'data', file))).mode & 0o777, 0o600, `${file} is private`)
  }
  const key = (await readFile(join(cwd, 'data/root.keys'), 'utf8')).split(':')[1]!.trim()
  t.notOk(first.output().includes(key), 'the root key is not printed')

  const second = startProcess(t, cwd, {})
  t.equal(await second.exited, 1, 'a second service on the same directory is refused')
  t.match(second.output(), /^latchkey: .*in use/m)

  first.child.kill('SIGTERM')
  t.equal(await first.exited, 0, first.output())
  const third = startProcess(t, cwd, {})
  const [, again] = await third.printed(/listens on (http:\S+)/)
  t.equal((await third.printed(/password (\S+)/))[1], password)
  const projects = await fetch(`${again}/api/v1/projects`, { headers: { cookie } })
  t.match(await projects.json(), { total: 1, data: [{ name: 'Kept' }] }, 'sessions and data are kept')
  third.child.kill('SIGINT')
  t.equal(await third.exited, 0)

  await chmod(join(cwd, 'data/root.keys'), 0o644)
  const open = startProcess(t, cwd, {})
  t.equal(await open.exited, 1)
  t.match(open.output(), /^latchkey: LATCHKEY_DATA_DIR .*chmod 600/)
  t.notOk(open.output().includes(key))
})

t.test('with DATABASE_URL', async (t) => {
  const cwd = await newDirectory(t)
  const database = await createTestDatabase({ empty: true })
  t.teardown(database.drop)
  const rootKeys = newRootKey('one')
  const admin = { LATCHKEY_ADMIN_EMAIL: 'root@example.org', LATCHKEY_ADMIN_PASSWORD: 'a long enough one' }
  const base = { DATABASE_URL: database.url }
  const fails = async (env: Record<string, string>, message: RegExp) => {
    const failed = startProcess(t, cwd, env)
    t.equal(await failed.exited, 1)
    t.match(failed.output(), message)
    t.equal(failed.output().trim().split('\n').length, 1, 'one line')
  }

  t.test('a root key is required, and on an empty database an administrator', async (t) => {
    t.comment(cwd)
    await fails(base, /^latchkey: LATCHKEY_ROOT_KEYS is required/)
    await fails({ ...base, LATCHKEY_ROOT_KEYS: rootKeys }, /^latchkey: LATCHKEY_ADMIN_EMAIL is required/)
  })

  t.test('two replicas start at the same time, and SIGTERM waits for requests in progress', async () => {
    const env = { ...base, ...admin, LATCHKEY_ROOT_KEYS: rootKeys }
    const replicas = [startProcess(t, cwd, env), startProcess(t, cwd, env)]
    const [one, two] = await Promise.all(
      replicas.map(async (replica) => (await replica.printed(/listens on (http:\S+)/))[1]!)
    )
    const { status, cookie } = await signIn(one!, 'ROOT@example.org', 'a long enough one')
    t.equal(status, 200)
    t.equal(
      (await fetch(`${two}/api/v1/session`, { headers: { cookie } })).status,
      200,
      'both accept the session'
    )
    t.notMatch(replicas[0]!.output(), 'a long enough one', 'a given password is not printed')

    const stopping = replicas[0]!
    const slow = signIn(one!, 'root@example.org', 'a long enough one')
    stopping.child.kill('SIGTERM')
    t.equal((await slow).status, 200, 'a request in progress is completed')
    t.equal((await fetch(`${one}/readyz`)).status, 503, 'a stopping service is not ready')
    t.equal(await stopping.exited, 0)
    t.equal((await fetch(`${two}/readyz`)).status, 200)
    replicas[1]!.child.kill('SIGTERM')
    await replicas[1]!.exited
  })

  t.test('a start with another root key fails and writes nothing', async (t) => {
    const before = await database.db.selectFrom('data_keys').select(['number', 'wrapped']).execute()
    await fails(
      { ...base, ...admin, LATCHKEY_ROOT_KEYS: newRootKey('other') },
      /^latchkey: LATCHKEY_ROOT_KEYS .*needed [0-9a-f]{16}; given [0-9a-f]{16} \(other\)/
    )
    t.same(await database.db.selectFrom('data_keys').select(['number', 'wrapped']).execute(), before)
  })

  t.test('the error for an invalid value is one line that names the variable', async () => {
    await writeFile(join(cwd, 'canary'), '')
    await fails({ ...base, LATCHKEY_ROOT_KEYS: 'one:c2hvcnQ=' }, /^latchkey: LATCHKEY_ROOT_KEYS /)
    await fails({ PORT: '99999' }, /^latchkey: PORT must be /)
  })
})

t.test('an embedded database of an earlier version keeps its data and gets its roles', async (t) => {
  const cwd = await newDirectory(t)
  const directory = join(cwd, 'data')
  const [email, password] = ['before@example.org', 'correct horse battery']
  const postgres = await startEmbedded({ directory, durable: false })
  t.teardown(() => postgres.stop())
  // Earlier versions used only the superuser.
  const superuser = createDatabase(postgres.connection)
  await sql`alter database latchkey owner to latchkey`.execute(superuser)
  for (const role of ['latchkey_owner', 'latchkey_service'])
    await sql`drop role ${sql.id(role)}`.execute(superuser)
  await migrate(superuser)
  await ensureAdministrator(superuser, { email, password })
  await sql`create view emails as select email from users`.execute(superuser)
  await sql`create table notes (id integer generated always as identity, number serial)`.execute(superuser)
  await superuser.destroy()
  await postgres.stop()

  for (const nth of ['first', 'second']) {
    const service = startProcess(t, cwd, {})
    const [, origin] = await service.printed(/listens on (http:\S+)/)
    t.equal((await signIn(origin!, email, password)).status, 200, `${nth} start`)
    const socket = { host: join(directory, 'postgres'), port: 5432, database: 'latchkey' }
    const look = createDatabase({ ...socket, user: 'latchkey', application_name: 'look' })
    const { rows } = await sql<{ owner: string }>`
      select distinct relowner::regrole::text as owner from pg_class
        where relnamespace = 'public'::regnamespace
      union select proowner::regrole::text from pg_proc p where pronamespace = 'public'::regnamespace
        and not exists (select from pg_depend where objid = p.oid and deptype = 'e')
      union select datdba::regrole::text from pg_database where datname = 'latchkey'`.execute(look)
    t.same(rows, [{ owner: 'latchkey_owner' }])
    const { rows: used } = await sql<{ role: string }>`select distinct usename as role
      from pg_stat_activity where application_name = 'latchkey'`.execute(look)
    t.same(used, [{ role: 'latchkey_service' }], 'requests use only this role')
    const { rows: roles } = await sql`select rolname, rolsuper, rolcreaterole from pg_roles
      where rolname ~ '^latchkey' order by rolname`.execute(look)
    t.same(roles, [
      { rolname: 'latchkey', rolsuper: true, rolcreaterole: true },
      { rolname: 'latchkey_owner', rolsuper: false, rolcreaterole: false },
      { rolname: 'latchkey_service', rolsuper: false, rolcreaterole: false }
    ])
    await look.destroy()
    service.child.kill('SIGTERM')
    t.equal(await service.exited, 0)
  }
})

t.test('with a role for migrations and another one for requests', async (t) => {
  const cwd = await newDirectory(t)
  const [database, other] = [
    await createTestDatabase({ empty: true }),
    await createTestDatabase({ empty: true })
  ]
  const [owner, service] = ['latchkey_test_migrations', 'latchkey_test_requests']
  const password = 'for this test'
  const name = sql.id(new URL(database.ownerUrl.replace('@/', '@localhost/')).pathname.slice(1))
  for (const role of [owner, service])
    await sql`create role ${sql.id(role)} login password ${sql.lit(password)}`.execute(database.db)
  await sql`alter database ${name} owner to ${sql.id(owner)}`.execute(database.db)
  t.teardown(async () => {
    await database.drop()
    for (const role of [owner, service]) await sql`drop role ${sql.id(role)}`.execute(other.db)
    await other.drop()
  })
  const env = {
    DATABASE_URL: asRole(database.ownerUrl, service, password),
    LATCHKEY_ROOT_KEYS: newRootKey('one'),
    LATCHKEY_ADMIN_EMAIL: 'admin@example.org',
    LATCHKEY_ADMIN_PASSWORD: 'correct horse battery'
  }
  const migrations = asRole(database.ownerUrl, owner, password)
  const fails = async (more: Record<string, string>, line: RegExp) => {
    const running = startProcess(t, cwd, { ...env, ...more })
    t.equal(await running.exited, 1)
    t.equal(running.output().trim().split('\n').length, 1, running.output())
    t.match(running.output(), line)
  }
  const works = async (more: Record<string, string>) => {
    const running = startProcess(t, cwd, { ...env, ...more })
    const [, origin] = await running.printed(/listens on (http:\S+)/)
    const { status, cookie } = await signIn(origin!, 'admin@example.org', 'correct horse battery')
    t.equal(status, 200)
    const made = await fetch(`${origin}/api/v1/projects`, {
      method: 'POST',
      headers: { ...json, cookie },
      body: JSON.stringify({ name: crypto.randomUUID() })
    })
    t.equal(made.status, 201)
    running.child.kill('SIGTERM')
    t.equal(await running.exited, 0)
  }

  await fails(
    {},
    /^latchkey: the role \w+ cannot create the tables: run "latchkey migrate" as their owner, or run/
  )
  await fails(
    { LATCHKEY_MIGRATION_DATABASE_URL: other.ownerUrl },
    /^latchkey: LATCHKEY_MIGRATION_DATABASE_URL has the database \w+, but DATABASE_URL has \w+$/m
  )
  await fails(
    { LATCHKEY_MIGRATION_DATABASE_URL: migrations, DATABASE_URL: migrations },
    /^latchkey: the database role "latchkey_test_migrations" has too many rights to serve requests: it owns/
  )
  const two = { LATCHKEY_MIGRATION_DATABASE_URL: migrations }
  await Promise.all([works(two), works(two)])
  const { rows } = await sql<{ table: string; owner: string; mine: boolean }>`
    select relname as table, relowner::regrole::text as owner, relowner::regrole = ${service}::regrole as mine
    from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v')`.execute(
    database.db
  )
  // The names of later partitions contain a date.
  const tables = rows.map(({ table }) => table).filter((table) => !/_\d{8}$/.test(table))
  t.same(tables.sort(), Object.keys(GRANTS).sort())
  t.same([...new Set(rows.map((row) => row.owner))], [owner])
  await works({})
})

t.test('the service keeps running if the reader of its log closes', async (t) => {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const running = startProcess(t, await newDirectory(t), {
    DATABASE_URL: database.url,
    LATCHKEY_ROOT_KEYS: newRootKey('test'),
    LATCHKEY_ADMIN_EMAIL: 'admin@example.org',
    LATCHKEY_ADMIN_PASSWORD: 'correct horse battery'
  })
  const [, origin] = await running.printed(/listens on (http:\S+)/)
  running.child.stdout!.destroy()
  for (let i = 0; i < 5; i++) {
    // This request writes a line to the log.
    t.equal((await fetch(`${origin}/api/v1/session`)).status, 401)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  t.equal(running.child.exitCode, null)
})
