import { sql } from 'kysely'
import pg from 'pg'
import t from 'tap'
import { createDatabase } from '../../src/db/database.ts'
import { startTestApp } from '../helpers/app.ts'
import { prepareTemplate } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { uniqueName } from '../helpers/fixtures.ts'
import { freePort } from '../helpers/free-port.ts'
import { startProxy } from '../helpers/proxy.ts'
import { startReplica } from '../helpers/replica.ts'
import { query, replicated, startStandby } from '../helpers/standby.ts'

// A primary and a hot standby, each behind its own proxy.
const servers = await startStandby(t)
process.env['TEST_DATABASE_URL'] = servers.primaryUrl
await prepareTemplate(servers.primaryUrl)
const service = await startTestApp(t)
await eventually(() => replicated(servers), 'the standby has the database')
const primary = await startProxy(t, service.databaseUrl)
const standby = await startProxy(t, service.databaseUrl)
standby.moveTo(servers.standbyUrl)
const portOf = (url: string) => new URL(url).port
const [P, S] = [portOf(primary.url), portOf(standby.url)]
const dead = await freePort()
const silent = await startProxy(t, service.databaseUrl)
silent.stall()

const { user, password, database } = new pg.Client({ connectionString: service.databaseUrl })
const urlOf = (rest: string) => `postgres://${user}:${password}@${rest}`
const at = (...ports: (string | number)[]) =>
  urlOf(`${ports.map((port) => `127.0.0.1:${port}`).join(',')}/${database}`)

const writable = async (url: string) => {
  const from = performance.now()
  const db = createDatabase({ connectionString: url }, { connections: 4 })
  const { rows } = await sql<{ standby: boolean }>`select pg_is_in_recovery() as standby`.execute(db)
  await db.destroy()
  return { standby: rows[0]!.standby, ms: performance.now() - from }
}

t.test('the server that accepts writes is found, for any form and order of hosts', async (t) => {
  const urls = [
    at(P, S),
    at(S, P),
    `${at(S, P)}?target_session_attrs=read-write`,
    `${at(S, P)}?target_session_attrs=primary`,
    `${at(S, P)}?target_session_attrs=any`,
    urlOf(`/${database}?host=127.0.0.1,127.0.0.1&port=${S},${P}`),
    urlOf(`/${database}?host=127.0.0.1,127.0.0.1&port=${P}`),
    urlOf(`[::1]:${dead},127.0.0.1:${P}/${database}`),
    urlOf(`nowhere.invalid,127.0.0.1:${P}/${database}`),
    at(dead, S, P)
  ]
  for (const url of urls) {
    const { standby, ms } = await writable(url)
    t.equal(standby, false, url)
    t.ok(ms < 1_500, `${url}: ${Math.round(ms)} ms`)
  }
})

t.test('a host that accepts connections but does not respond delays the others only briefly', async (t) => {
  const { ms } = await writable(at(portOf(silent.url), S, P))
  t.ok(ms < 1_500, `${Math.round(ms)} ms`)
})

t.test('if no server accepts writes, the error has the reason of each server', async (t) => {
  await t.rejects(writable(at(S, dead)), {
    message: /^no server of the database can be used: The database is a standby.*ECONNREFUSED/
  })
  await t.rejects(writable(at(S)), { message: /^The database is a standby: connect to the primary$/ })
})

t.test('if one address of a server stalls, the other is used', async (t) => {
  const [one, other] = [await startProxy(t, service.databaseUrl), await startProxy(t, service.databaseUrl)]
  const url = at(portOf(one.url), portOf(other.url))
  const db = createDatabase({ connectionString: url }, { connections: 12 })
  t.teardown(() => db.destroy())
  const work = () => db.transaction().execute((trx) => sql`select pg_sleep(2)`.execute(trx))
  const first = [work(), work()]
  await eventually(() => one.open === 2, 'both run')
  one.stallNew()
  await Promise.all([...first, work(), work()])
  t.ok(other.open >= 2, 'new connections use the second address')
})

t.test('a server that becomes read-only while connected is no longer used', async (t) => {
  const connection = { connectionString: at(P, S) }
  const ann = await service.newUser()
  const replica = await startReplica(t, service, { connection })
  const there = replica.client(ann)
  const paths = ['/api/v1/session', '/api/v1/app-credentials', '/api/v1/projects', '/readyz']
  for (const path of paths) t.equal((await there.get(path)).status, 200, path)
  await query(servers.primaryUrl, 'alter system set default_transaction_read_only = on')
  await query(servers.primaryUrl, 'select pg_reload_conf()')
  await eventually(
    async () =>
      (await query(servers.primaryUrl, 'show transaction_read_only'))[0].transaction_read_only === 'on',
    'it is read-only'
  )
  for (const path of paths) {
    const { json } = await there.get(path)
    t.match(json, { status: 503, detail: 'The database is read-only; try again.' }, path)
  }
  await query(servers.primaryUrl, 'alter system reset default_transaction_read_only')
  await query(servers.primaryUrl, 'select pg_reload_conf()')
  const from = performance.now()
  await eventually(async () => (await there.get('/readyz')).status === 200, 'it is ready')
  t.ok(performance.now() - from < 2_000)
  for (const path of paths) t.equal((await there.get(path)).status, 200, path)
})

t.test('a primary that stalls is dropped, and the promoted standby is used within two seconds', async (t) => {
  const connection = { connectionString: at(P, S) }
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const replica = await startReplica(t, service, { connection })
  const [annThere, bobThere] = [replica.client(ann), replica.client(bob)]
  t.equal((await annThere.get('/api/v1/session')).status, 200)
  t.equal((await ann.delete('/api/v1/session')).status, 200)
  t.equal((await annThere.get('/api/v1/session')).status, 401)
  await eventually(() => replicated(servers), 'the standby knows that the session has ended')

  const seen: { at: number; status: number }[] = []
  const ended = new Set<number>()
  let stopped = false
  const write = async () => {
    while (!stopped) {
      const at = performance.now()
      const { status } = await bobThere.post('/api/v1/projects', { name: uniqueName('P') })
      seen.push({ at, status })
    }
  }
  const askAgain = async () => {
    while (!stopped) ended.add((await annThere.get('/api/v1/session')).status)
  }
  const working = Promise.all([...Array.from({ length: 8 }, write), askAgain()])
  await eventually(() => seen.length > 20, 'it works')
  primary.stall()
  const cutAt = performance.now()
  await eventually(() => seen.some(({ status }) => status === 503), 'it is dropped')
  const givenUp = performance.now() - cutAt
  t.ok(givenUp < 5_000, `${Math.round(givenUp)} ms until it is dropped`)
  await query(servers.standbyUrl, 'select pg_promote()')
  const from = performance.now()
  await eventually(
    () => seen.some(({ at, status }) => at > from && status === 201),
    'the promoted standby is used'
  )
  const recovered = performance.now() - from
  t.ok(recovered < 2_000, `${Math.round(recovered)} ms until a write`)
  primary.restore()
  await eventually(async () => (await bobThere.get('/readyz')).status === 200, 'it is ready')
  stopped = true
  await working
  t.same(
    [...ended].filter((status) => status !== 503),
    [401],
    'the ended session is never accepted'
  )
  t.same([...new Set(seen.map(({ status }) => status))].sort(), [201, 503])
})

t.test('an old primary that still accepts writes is dropped within seconds', async (t) => {
  // The first host is the old primary, which is reachable again and still accepts writes.
  const replica = await startReplica(t, service, { connection: { connectionString: at(P, S) } })
  const successor = await startReplica(t, service, { connection: { connectionString: at(S) } })
  const cat = await service.newUser()
  t.equal((await replica.client(cat).get('/api/v1/session')).status, 200, 'the first host answers')
  const created = await successor.client(service.admin).post('/api/v1/projects', { name: uniqueName('P') })
  const from = performance.now()
  const find = () => replica.client(service.admin).get(`/api/v1/projects/${created.json.id}`)
  await eventually(async () => (await find()).status === 200, 'the new row is found')
  t.ok(performance.now() - from < 4_000, `${Math.round(performance.now() - from)} ms`)
  for (let i = 0; i < 30; i++) t.equal((await find()).status, 200, 'it stays on the new primary')
})
