import { randomBytes, randomUUID } from 'node:crypto'
import { mock } from 'node:test'
import { fastify } from 'fastify'
import { sql } from 'kysely'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { Keyring } from '../../src/crypto/keyring.ts'
import type { Database } from '../../src/db/database.ts'
import { cleanup } from '../../src/jobs/cleanup.ts'
import { services } from '../../src/services.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'

async function newApp(db: Database) {
  const app = fastify()
  const keyring = new Keyring(new Map([[1, Buffer.alloc(32)]]), 1)
  await app.register(services, { config: readConfig({}), db, keyring })
  await app.register(cleanup)
  await app.ready()
  return app
}

t.test('expired rows are deleted every ten minutes, and no others', async (t) => {
  // Must precede all connections, whose timers would otherwise be cleared by the wrong functions.
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { db, drop } = await createTestDatabase()
  t.teardown(drop)
  const userId = randomUUID()
  await sql`insert into users (id, email, name, name_key, password_hash, role)
    values (${userId}, 'ann@example.org', 'Ann', 'ann', '', 'user')`.execute(db)
  const session = (name: string, seen: string, expires: string) =>
    sql`insert into sessions (id, token_hash, user_id, ip, user_agent, last_seen_at, expires_at)
      values (${randomUUID()}, ${randomBytes(32)}, ${userId}, '::1', ${name},
        now() + ${seen}::interval, now() + ${expires}::interval)`.execute(db)
  await session('lives', '-29 minutes', '1 hour')
  await session('idle', '-31 minutes', '1 hour')
  await session('expired', '-1 minute', '-1 minute')
  const failure = (address: string, at: string) =>
    sql`insert into login_failures (id, account, address, at)
    values (${randomUUID()}, ${randomBytes(32)}, ${address}, now() + ${at}::interval)`.execute(db)
  await failure('recent', '-14 minutes')
  await failure('old', '-2 hours')
  const key = (name: string, expires: string) =>
    sql`insert into idempotency_keys (principal, key, expires_at)
    values ('ann', ${name}, now() + ${expires}::interval)`.execute(db)
  await key('fresh', '1 minute')
  await key('stale', '-1 minute')
  // More rows than a batch.
  await sql`insert into login_failures (id, account, address, at)
    select gen_random_uuid(), '', 'many', now() - interval '2 hours' from generate_series(1, 12000)`.execute(
    db
  )
  await sql`insert into idempotency_keys (principal, key, expires_at)
    select 'ann', 'many ' || n, now() - interval '1 minute' from generate_series(1, 12000) n`.execute(db)
  await sql`insert into audit_folds (minute, key, event_id)
    select floor(extract(epoch from now()) / 60) - 7, n, gen_random_uuid()
    from generate_series(1, 12000) n`.execute(db)

  const left = async () => {
    const { rows } = await sql<{ name: string }>`select user_agent as name from sessions
      union all select distinct address from login_failures
      union all select distinct split_part(key, ' ', 1) from idempotency_keys
      union all select 'counts' from audit_folds group by minute order by 1`.execute(db)
    return rows.map((row) => row.name)
  }
  const apps = await Promise.all([newApp(db), newApp(db)])
  // The interval is ten minutes, plus or minus a fifth.
  mock.timers.tick(7.9 * 60_000)
  t.equal((await left()).length, 10, 'nothing is deleted earlier')
  mock.timers.tick(4.2 * 60_000)
  mock.timers.reset()
  await eventually(async () => (await left()).length === 3, 'all expired rows are deleted')
  t.same(await left(), ['fresh', 'lives', 'recent'])
  await Promise.all(apps.map((app) => app.close()))
})

t.test('a failed cleanup does not end the process', async (t) => {
  // Must precede all connections, whose timers would otherwise be cleared by the wrong functions.
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { db, drop } = await createTestDatabase()
  t.teardown(drop)
  await sql`alter table sessions rename to mislaid`.execute(db)
  const app = await newApp(db)
  mock.timers.tick(20 * 60_000)
  mock.timers.reset()
  await app.close()
  t.pass('it closes')
})
