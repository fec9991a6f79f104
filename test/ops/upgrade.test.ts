// The last release serves requests while this version is rolled out alongside it and rolled back.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { MIGRATIONS } from '../../src/db/migration-files.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { NO_LIMITS } from '../helpers/app.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type Running, startProcess } from '../helpers/process.ts'
import { Load, makeWorld } from './load.ts'
import { findLastRelease } from './release.ts'

const ADMIN = { email: 'admin@example.org', password: 'correct horse battery' }
const MIGRATE = join(import.meta.dirname, '../fixtures/migrate.ts')
/**
 * Migrations later than those of this version: they add a column, create indexes, and backfill the column.
 */
const LATER = join(import.meta.dirname, 'migrations')
const [, , BACKFILL] = (await readdir(LATER)).sort().map((file) => file.replace('.ts', ''))
const CREDENTIALS = 120_000
const EVENTS = 300_000
const STEADY_MS = 5_000

const release = await findLastRelease()
const skip = typeof release === 'string' ? release : false

t.test('an upgrade and a rollback refuse no request', { skip, timeout: 480_000 }, async (t) => {
  if (typeof release === 'string') return
  const directory = t.testdir()
  const checkout = join(directory, 'release')
  await release.checkOut(checkout)
  const database = await createTestDatabase({ empty: true })
  t.teardown(database.drop)
  const client = new pg.Client({ connectionString: database.ownerUrl })
  await client.connect()
  t.teardown(() => client.end())
  const env = {
    DATABASE_URL: database.serviceUrl,
    LATCHKEY_MIGRATION_DATABASE_URL: database.ownerUrl,
    LATCHKEY_ROOT_KEYS: newRootKey('ops'),
    LATCHKEY_ADMIN_EMAIL: ADMIN.email,
    LATCHKEY_ADMIN_PASSWORD: ADMIN.password,
    LOG_LEVEL: 'warn',
    ...NO_LIMITS
  }
  const start = async (name: 'old' | 'new') => {
    const running = startProcess(
      t,
      directory,
      env,
      name === 'old' ? [join(checkout, 'src/main.js')] : undefined
    )
    const [, origin] = await running.printed(/listens on (http:\S+)/)
    return { running, origin: origin! }
  }
  const migrateLater = () => startProcess(t, directory, {}, [MIGRATE, database.ownerUrl, LATER])
  const ended = async ({ exited, output }: Running) => t.equal(await exited, 0, output())

  const old = await start('old')
  const world = await makeWorld(old.origin, ADMIN)
  await fill(client, world)
  const load = new Load(world)
  const stopOld = load.start(t, 'old', old.origin)
  await sleep(STEADY_MS)
  load.check(t, 'before', ['old'])

  const current = await start('new')
  const stopCurrent = load.start(t, 'new', current.origin)
  await sleep(STEADY_MS)
  load.check(t, 'this version is started', ['old', 'new'])

  // A long transaction, such as that of a report or a backup.
  await client.query('begin')
  await client.query('select from credentials limit 1')
  const first = migrateLater()
  await first.printed('Waiting for other transactions to end')
  await sleep(STEADY_MS)
  load.check(t, 'a long transaction blocks a migration', ['old', 'new'])
  await client.query('commit')

  const count = async (where: string) => {
    const { rows } = await client.query(`select count(*)::int as count from credentials where ${where}`)
    return rows[0].count as number
  }
  await eventually(
    () =>
      count('label is not null').then(
        (count) => count > 5_000,
        () => false
      ),
    BACKFILL!,
    60_000
  )
  first.child.kill('SIGKILL')
  await first.exited
  const labelled = await count('label is not null')
  t.ok(labelled < CREDENTIALS, `${labelled} labels when the first process was killed`)
  load.check(t, 'the indexes and a part of the backfill, until SIGKILL', ['old', 'new'])

  const others = [migrateLater(), migrateLater()]
  await Promise.all(others.map(ended))
  t.same(others.map(({ output }) => output().match(/Ran .*/)?.[0]).sort(), [
    `Ran ${BACKFILL}.`,
    'Ran nothing.'
  ])
  t.match(others.map(({ output }) => output()).join(''), /Waiting for another process to finish migrating/)
  t.equal(await count(`label is null and owner_id = '${world.idleUser}'`), 0)
  const { rows: indexes } = await client.query(
    `select indisvalid as valid from pg_index
      where indexrelid in ('credentials_label'::regclass, 'audit_events_recent'::regclass)`
  )
  t.same(indexes, [{ valid: true }, { valid: true }])
  load.check(t, 'two processes finish the migrations', ['old', 'new'])

  await stopOld()
  old.running.child.kill('SIGTERM')
  await ended(old.running)
  await sleep(STEADY_MS)
  load.check(t, 'this version alone', ['new'])

  const again = await start('old')
  const stopAgain = load.start(t, 'old', again.origin)
  await sleep(STEADY_MS)
  load.check(t, 'the release is started again on the new tables', ['old', 'new'])
  await stopCurrent()
  current.running.child.kill('SIGTERM')
  await ended(current.running)
  await sleep(STEADY_MS)
  load.check(t, 'rolled back', ['old'])
  await stopAgain()
})

t.test('this version has the migrations of the release, unchanged', { skip }, async (t) => {
  if (typeof release === 'string') return
  const checkout = join(t.testdir(), 'release')
  await release.checkOut(checkout)
  const names = (await readdir(join(checkout, 'migrations'))).filter((name) => name.endsWith('.ts'))
  t.ok(names.length >= 18)
  for (const name of names)
    t.equal(
      await readFile(join(MIGRATIONS, name), 'utf8'),
      await readFile(join(checkout, 'migrations', name), 'utf8'),
      name
    )
})

/** Inserts many credentials and events for the idle user, as an installation has after some years. */
async function fill(client: pg.Client, { idleUser, type }: { idleUser: string; type: string }) {
  await client.query('begin')
  // Without triggers, which are slow for many rows.
  await client.query('set local session_replication_role = replica')
  await client.query(
    `insert into credentials (id, owner_id, type_id, name, name_key)
      select gen_random_uuid(), $1, $2, 'Credential ' || n, 'credential ' || n
      from generate_series(1, ${CREDENTIALS}) n`,
    [idleUser, type]
  )
  await client.query(
    `insert into credential_totals (owner_id, type_id, part, total) values ($1, $2, 0, ${CREDENTIALS})`,
    [idleUser, type]
  )
  await client.query(
    `insert into audit_events (id, action, outcome, actor_type, actor_id, owner_id, target_id)
      select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - n), 12, '0') || '7'
          || right(translate(gen_random_uuid()::text, '-', ''), 19))::uuid,
        'credential.read', 'allowed', 'user', $1, $1, gen_random_uuid()
      from generate_series(1, ${EVENTS}) n`,
    [idleUser]
  )
  await client.query('commit')
  await client.query('analyze')
}
