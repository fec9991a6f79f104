import { type Kysely, sql } from 'kysely'
import t from 'tap'
import type { Tables } from '../../src/db/tables.ts'
import { startTestApp } from '../helpers/app.ts'
import { eventually } from '../helpers/eventually.ts'
import { newToken } from '../helpers/tokens.ts'

const service = await startTestApp(t)
const ann = await service.newUser()
const machine = await newToken(ann, ['credentials:read'])
const callers = { session: ann, token: machine }

const ageAll = async (db: Kysely<Tables> = service.db) => {
  await sql`update sessions set last_seen_at = now() - interval '65 seconds'`.execute(db)
  await sql`update access_tokens set last_used_at = now() - interval '65 seconds'`.execute(db)
}
const stale = async () => {
  const { rows } = await sql<{ kind: string }>`
    select 'session' as kind from sessions
      where user_id = ${ann.person.id} and last_seen_at < now() - interval '60 seconds'
    union all select 'token' from access_tokens where last_used_at < now() - interval '60 seconds'`.execute(
    service.db
  )
  return rows.map(({ kind }) => kind).sort()
}

async function request(kind: keyof typeof callers) {
  const from = performance.now()
  const { status } = await callers[kind].get('/api/v1/app-credentials')
  return { status, ms: performance.now() - from }
}

t.test('a request does not wait for the write of its last use, which happens later', async (t) => {
  await ageAll()
  await service.db.transaction().execute(async (trx) => {
    await sql`lock table sessions, access_tokens in share mode`.execute(trx)
    for (const kind of ['session', 'token', 'session', 'token'] as const) {
      const { status, ms } = await request(kind)
      t.equal(status, 200, kind)
      t.ok(ms < 2_000, `${kind}: ${Math.round(ms)} ms`)
    }
    t.same(await stale(), ['session', 'token'])
  })
  await eventually(async () => (await stale()).length === 0, 'both uses are written')
})

t.test('a request does not fail if its last use cannot be written', async (t) => {
  await sql`create function fail() returns trigger language plpgsql as
    $$ begin raise exception 'no'; end $$`.execute(service.db)
  await service.db.transaction().execute(async (trx) => {
    // A use from the previous test may not be written yet.
    await sql`lock table sessions, access_tokens`.execute(trx)
    await ageAll(trx)
    for (const table of ['sessions', 'access_tokens'])
      await sql`create trigger fails before update on ${sql.table(table)}
        for each row execute function fail()`.execute(trx)
  })
  for (const kind of ['session', 'token'] as const) t.equal((await request(kind)).status, 200, kind)
  await eventually(
    () => service.log.join().includes('the last use of sessions and tokens was not written'),
    'the failure is logged'
  )
  t.same(await stale(), ['session', 'token'])
  await sql`drop function fail() cascade`.execute(service.db)
  for (const kind of ['session', 'token'] as const) t.equal((await request(kind)).status, 200, kind)
  await eventually(async () => (await stale()).length === 0, 'the next requests write their uses')
})
