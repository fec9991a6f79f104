import { sql } from 'kysely'
import t, { type Test } from 'tap'
import type { Database } from '../../src/db/database.ts'
import { startTestApp } from '../helpers/app.ts'
import type { Client } from '../helpers/client.ts'
import { eventually } from '../helpers/eventually.ts'
import { newCredential, newType, uniqueName } from '../helpers/fixtures.ts'
import { startReplica } from '../helpers/replica.ts'

const READ_ONLY = { status: 503, code: 'unavailable', detail: 'The database is read-only; try again.' }
const STANDBY = { status: 503, code: 'unavailable', detail: 'The database is a standby; try again.' }

const nameOf = async (db: Database) => {
  const { rows } = await sql<{ name: string }>`select current_database() as name`.execute(db)
  return rows[0]!.name
}

const reads = (client: Client, id: string): Record<string, () => ReturnType<Client['get']>> => ({
  read: () => client.get(`/api/v1/app-credentials/${id}`),
  list: () => client.get('/api/v1/app-credentials'),
  'long read': () => client.get('/api/v1/audit-events')
})
const writes = (client: Client, id: string): Record<string, () => ReturnType<Client['get']>> => ({
  reveal: () => client.post(`/api/v1/app-credentials/${id}/reveal`, {}),
  change: () => client.put(`/api/v1/app-credentials/${id}`, { description: 'changed' }),
  create: () => client.post('/api/v1/projects', { name: uniqueName('P') })
})

/** Sends more concurrent writes than there are connections. Asserts that all are refused within 3 s. */
async function refusesAtOnce(t: Test, client: Client) {
  let slowest = 0
  const until = performance.now() + 3_500
  const write = async () => {
    while (performance.now() < until) {
      const from = performance.now()
      t.equal((await client.post('/api/v1/projects', { name: uniqueName('P') })).status, 503)
      slowest = Math.max(slowest, performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: 40 }, write))
  t.ok(slowest < 3_000, `${Math.round(slowest)} ms until a write is refused`)
}

t.test('a read-only database is not used until it accepts writes again', async (t) => {
  const service = await startTestApp(t)
  const { id } = await newCredential(service.admin, await newType(service.admin))
  const name = await nameOf(service.db)
  await sql.raw(`alter database ${name} set default_transaction_read_only = on`).execute(service.db)
  await sql`select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and usename <> current_user`.execute(service.db)
  for (const [kind, request] of Object.entries({ ...writes(service.admin, id), ...reads(service.admin, id) }))
    t.match((await request()).json, READ_ONLY, kind)
  t.match((await service.anonymous().get('/readyz')).json, READ_ONLY)
  t.equal((await service.anonymous().get('/livez')).status, 200)
  await refusesAtOnce(t, service.admin)
  await sql.raw(`alter database ${name} reset default_transaction_read_only`).execute(service.db)
  const from = performance.now()
  while ((await writes(service.admin, id)['create']!()).status !== 201 && performance.now() - from < 5_000);
  t.ok(performance.now() - from < 2_500, `${Math.round(performance.now() - from)} ms until it takes writes`)
  for (const [kind, request] of Object.entries({ ...reads(service.admin, id), ...writes(service.admin, id) }))
    t.ok([200, 201].includes((await request()).status), kind)
  await eventually(async () => (await service.anonymous().get('/readyz')).status === 200, 'it is ready')
})

t.test('a standby is never used, because it may still have sessions that have ended', async (t) => {
  const service = await startTestApp(t)
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const { id } = await newCredential(ann, await newType(ann))
  const replica = await startReplica(t, service)
  const client = replica.client(ann)
  for (const [kind, request] of Object.entries(reads(client, id))) t.ok((await request()).status < 300, kind)

  // From now on, the database looks like a standby to new connections.
  const name = await nameOf(service.db)
  await sql`create schema standby`.execute(service.db)
  await sql`grant usage on schema standby to public`.execute(service.db)
  const functionOf = sql`create function standby.pg_is_in_recovery() returns boolean`
  await sql`${functionOf} language sql as 'select true'`.execute(service.db)
  await sql.raw(`alter database ${name} set search_path = standby, pg_catalog, public`).execute(service.db)
  await sql`select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and usename <> current_user`.execute(service.db)
  for (const [kind, request] of Object.entries({ ...reads(client, id), ...writes(client, id) }))
    t.match((await request()).json, STANDBY, kind)
  t.match((await replica.client().get('/readyz')).json, STANDBY)
  t.equal((await replica.client().get('/livez')).status, 200)
  await t.rejects(startReplica(t, service), { message: /The database is a standby/ })

  await sql`delete from sessions where user_id = ${ann.person.id}`.execute(service.db)
  await sql.raw(`alter database ${name} reset search_path`).execute(service.db)
  t.equal((await client.get('/api/v1/projects')).status, 401, 'the deleted session is not accepted')
  t.equal((await replica.client(bob).get('/api/v1/projects')).status, 200, 'other sessions work at once')
  t.equal((await replica.client().get('/readyz')).status, 200)
})
