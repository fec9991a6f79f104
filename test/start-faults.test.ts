import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { newRootKey } from '../src/root-keys/local.ts'
import { runCli } from './helpers/cli.ts'
import { asRole, createTestDatabase } from './helpers/database.ts'
import { newDirectory } from './helpers/embedded-service.ts'
import { freePort } from './helpers/free-port.ts'
import { startProcess } from './helpers/process.ts'

// Starts many processes in sequence.
t.setTimeout(300_000)

async function listening(t: Test, onConnection: (socket: Socket) => void = () => {}) {
  const server: Server = createServer(onConnection).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

const root = join(import.meta.dirname, '..')
const page = await readFile(join(root, 'docs/operations/troubleshooting.md'), 'utf8')
/** The messages in the tables of the page. `…` stands for variable text. */
const shown = [...page.matchAll(/^\| `([^`]+)`/gm)].map(([, line = '']) =>
  line.replace('127.0.0.1:8080', '…')
)
const documented = shown.map(
  (line) => new RegExp(line.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.*'))
)

/** Messages of Postgres, its driver, Node and version 1.0.0, and messages composed of several parts. */
const FOREIGN = [
  'Connection terminated unexpectedly',
  'the database system is starting up',
  'password authentication failed for user "…"',
  'role "…" does not exist',
  'database "…" does not exist',
  'The server does not support SSL connections',
  "Hostname/IP does not match certificate's altnames",
  'self-signed certificate',
  'corrupted migrations: …',
  'key "…" cannot be used: …'
]

t.test('every message on the page occurs in the code', async (t) => {
  t.ok(shown.length > 60, `${shown.length} lines`)
  const paths = (await readdir(join(root, 'src'), { recursive: true })).filter((path) =>
    /\.[jt]s$/.test(path)
  )
  const sources = await Promise.all(paths.map((path) => readFile(join(root, 'src', path), 'utf8')))
  // Joins split strings, replaces interpolations with `…`, and removes escapes.
  const code = sources
    .join('\n')
    .replaceAll(/['`] \+\s+['`]/g, '')
    .replaceAll(/\$\{[^}]*\}/g, '…')
    .replaceAll('\\', '')
  for (const line of shown) {
    if (FOREIGN.some((one) => line.endsWith(one))) continue
    const parts = line
      .replaceAll(/\b[A-Z]+(_[A-Z]+)*(?=[ …])/g, '…')
      .split(/…|:|_FILE|"|\/\S*|must (?:be|contain)/)
    for (const part of parts.filter((one) => /\w \w/.test(one)))
      t.ok(code.includes(part.trim()), `"${part.trim()}" of "${line}"`)
  }
})

/** Returns the only line of a start that fails. Asserts that the page documents it. */
async function lastLine(t: Test, cwd: string, env: Record<string, string>): Promise<string> {
  const service = startProcess(t, cwd, env)
  t.equal(await service.exited, 1)
  const lines = service.output().trim().split('\n')
  t.equal(lines.length, 1, service.output())
  t.ok(
    documented.some((pattern) => pattern.test(lines[0]!)),
    `documented: ${lines[0]}`
  )
  return lines[0]!
}

t.test('an unusable address or port stops the start before anything is created', async (t) => {
  const cwd = await newDirectory(t)
  const taken = String(await listening(t))
  const cases: [Record<string, string>, string][] = [
    [
      { PORT: taken },
      `PORT must be a free port: another program is listening on 127.0.0.1:${taken}; stop it, or set PORT`
    ],
    [{ HOST: 'nowhere.invalid' }, 'HOST must be an address of this machine: nowhere.invalid is not one'],
    [{ HOST: '192.0.2.1' }, 'HOST must be an address of this machine: 192.0.2.1 is not one'],
    [
      { DATABASE_URL: 'postgres://a/b?target_session_attrs=standby' },
      'DATABASE_URL cannot be used: target_session_attrs must be one of'
    ],
    [
      { METRICS_PORT: taken },
      `METRICS_PORT must be a free port: another program is listening on 127.0.0.1:${taken}`
    ],
    [{ LATCHKEY_DATA_DIR: '/dev/null' }, 'LATCHKEY_DATA_DIR must be a directory that the service can create'],
    [{ METRICS_PORT: '0', METRICS_HOST: 'nowhere.invalid' }, 'METRICS_HOST must be an address']
  ]
  const same = String(await freePort())
  cases.push([{ PORT: same, METRICS_PORT: same }, 'METRICS_PORT must be another port than PORT'])
  for (const [env, message] of cases) {
    const line = await lastLine(t, cwd, env)
    t.ok(line.startsWith(`latchkey: ${message}`), line)
  }
  t.same(await readdir(cwd), [])
})

t.test('the error for an unusable database is one line that names the variable', async (t) => {
  const cwd = await newDirectory(t)
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const silent = await listening(t, (socket) => socket.on('error', () => {}).on('data', () => socket.end()))
  const closed = await freePort()
  const inSocket = asRole(database.ownerUrl, 'postgres', 'secret-pass')
  const url = new URL(database.ownerUrl.replace('@/', '@localhost/'))
  const absent = database.ownerUrl.replace(url.pathname, '/no_such_database')
  const cases: [string, string | RegExp][] = [
    [`postgres://app:secret-pass@127.0.0.1:${closed}/x`, `no server is listening on 127.0.0.1:${closed}`],
    [`postgres://app:secret-pass@localhost:${closed}/x`, /no server is listening on (127\.0\.0\.1|::1):\d+ /],
    ['postgres://app:secret-pass@nowhere.invalid/x', 'unknown host nowhere.invalid'],
    [
      `postgres://app:secret-pass@nowhere.invalid,127.0.0.1:${closed},127.0.0.1:${closed}/x`,
      /unknown host nowhere\.invalid \(\w+\); no server is listening on 127\.0\.0\.1:\d+ \(\w+\)$/
    ],
    [`postgres://app:secret-pass@127.0.0.1:${silent}/x`, /Connection terminated unexpectedly/],
    [
      'postgres://app:secret-pass@/x?host=/nowhere/at/all',
      'the socket /nowhere/at/all/.s.PGSQL.5432 does not exist'
    ],
    [absent, 'database "no_such_database" does not exist'],
    [asRole(database.ownerUrl, 'no_such_role', 'secret-pass'), /role "no_such_role"|"no_such_role"/],
    [`${inSocket}${inSocket.includes('?') ? '&' : '?'}sslmode=require`, /SSL/]
  ]
  const env = { LATCHKEY_ROOT_KEYS: newRootKey('one') }
  for (const [bad, message] of cases) {
    const line = await lastLine(t, cwd, { ...env, DATABASE_URL: bad })
    t.match(line, /^latchkey: DATABASE_URL cannot be used: ./, line)
    t.match(line, message)
    t.notMatch(line, 'secret-pass')
  }
  const [[away, message]] = cases as [[string, string]]
  t.match(
    await lastLine(t, cwd, { ...env, DATABASE_URL: database.url, LATCHKEY_MIGRATION_DATABASE_URL: away }),
    `latchkey: LATCHKEY_MIGRATION_DATABASE_URL cannot be used: ${message}`
  )
  for (const words of [['keys', 'status'], ['users', 'list'], ['migrate']]) {
    const { code, out, err } = await runCli({ ...env, DATABASE_URL: away }, words)
    t.same([code, out], [1, ''])
    t.match(err, `latchkey: DATABASE_URL cannot be used: ${message}`)
  }
  t.match(
    await runCli({ ...env, DATABASE_URL: database.url, LATCHKEY_MIGRATION_DATABASE_URL: away }, ['migrate']),
    { code: 1, err: `latchkey: LATCHKEY_MIGRATION_DATABASE_URL cannot be used: ${message}` }
  )
})

t.test('the error for a role that cannot create tables says what to grant', async (t) => {
  const database = await createTestDatabase({ empty: true })
  const [role, password] = ['latchkey Test-"Low', 'secret-pass']
  t.teardown(async () => {
    await sql`drop owned by ${sql.id(role)}`.execute(database.db)
    await sql`drop role ${sql.id(role)}`.execute(database.db)
    await database.drop()
  })
  await sql`create role ${sql.id(role)} login password ${sql.lit(password)}`.execute(database.db)
  const url = asRole(database.ownerUrl, role, password)
  const env = {
    DATABASE_URL: url,
    LATCHKEY_ROOT_KEYS: newRootKey('one'),
    LATCHKEY_ADMIN_EMAIL: 'root@example.org',
    LATCHKEY_ADMIN_PASSWORD: 'a long enough one'
  }
  const cwd = await newDirectory(t)
  for (const line of [
    await lastLine(t, cwd, env),
    (await runCli(env, ['migrate'])).err.trim(),
    await lastLine(t, cwd, { ...env, LATCHKEY_MIGRATION_DATABASE_URL: url })
  ]) {
    const grant =
      /^latchkey: the role .* run "latchkey migrate" as .* or run "(grant create on schema public to .*)" in/
    const [, statement = ''] = grant.exec(line) ?? []
    t.equal(statement, 'grant create on schema public to "latchkey Test-""Low"', line)
  }
  const nowhere = `${url}${url.includes('?') ? '&' : '?'}options=${encodeURIComponent('-c search_path=none')}`
  t.match(await lastLine(t, cwd, { ...env, DATABASE_URL: nowhere }), /names no schema in the database/)

  await sql.raw('grant create on schema public to "latchkey Test-""Low"').execute(database.db)
  const service = startProcess(t, cwd, env)
  await service.printed(/listens on/)
  service.child.kill('SIGINT')
  t.equal(await service.exited, 0, 'the grant is sufficient')
})

t.test('the error for a role without privileges names the command that grants them', async (t) => {
  const database = await createTestDatabase()
  const role = 'latchkey_test_without_rights'
  t.teardown(async () => {
    await sql`drop role ${sql.id(role)}`.execute(database.db)
    await database.drop()
  })
  await sql`create role ${sql.id(role)} login password 'secret-pass'`.execute(database.db)
  const env = {
    DATABASE_URL: asRole(database.ownerUrl, role, 'secret-pass'),
    LATCHKEY_ROOT_KEYS: newRootKey('one')
  }
  const line =
    `latchkey: the role ${role} has no rights on the tables: ` +
    `run "latchkey migrate --grant-to ${role}" as their owner`
  t.equal(await lastLine(t, await newDirectory(t), env), line)
  t.equal((await runCli(env, ['migrate'])).err, `${line}\n`)
})

t.test('a wrong root key stops the start before a migration runs', async (t) => {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const env = {
    DATABASE_URL: database.ownerUrl,
    LATCHKEY_ROOT_KEYS: newRootKey('one'),
    LATCHKEY_ADMIN_EMAIL: 'root@example.org',
    LATCHKEY_ADMIN_PASSWORD: 'a long enough one'
  }
  const cwd = await newDirectory(t)
  const service = startProcess(t, cwd, { ...env, DATABASE_URL: database.url })
  await service.printed(/listens on/)
  service.child.kill('SIGINT')
  await service.exited
  await sql`drop table schema_migrations`.execute(database.db)
  const wrong = { ...env, LATCHKEY_ROOT_KEYS: newRootKey('other') }
  const asOwner = { LATCHKEY_MIGRATION_DATABASE_URL: database.ownerUrl }
  for (const given of [wrong, { ...wrong, ...asOwner, DATABASE_URL: database.url }]) {
    t.match(
      await lastLine(t, cwd, given),
      /must contain the root key .* needed \w{16}; given \w{16} \(other\)$/
    )
    const { rows } = await sql`select where to_regclass('schema_migrations') is not null`.execute(database.db)
    t.equal(rows.length, 0)
  }
})

t.test('a misspelled variable is reported, and the start continues', async (t) => {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const env = {
    DATABASE_URL: database.url,
    LATCHKEY_ROOT_KEYS: newRootKey('one'),
    LATCHKEY_ADMIN_EMAIL: 'root@example.org',
    LATCHKEY_ADMIN_PASSWORD: 'a long enough one',
    LATCHKEY_SESSION_IDLE_MINUTS: 'secret'
  }
  const service = startProcess(t, await newDirectory(t), env)
  await service.printed(
    'LATCHKEY_SESSION_IDLE_MINUTS is not a Latchkey variable and is ignored; see docs/operations/'
  )
  await service.printed(/listens on/)
  t.notMatch(service.output(), 'secret')
  const { code, out, err } = await runCli(env, ['users', 'list', '--json'])
  t.equal(code, 0)
  t.match(err, /^latchkey: LATCHKEY_SESSION_IDLE_MINUTS is not a Latchkey variable/)
  t.ok(JSON.parse(out), 'standard output does not contain the notice')
})
