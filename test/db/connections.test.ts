import { randomBytes } from 'node:crypto'
import dns from 'node:dns'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { grantTo } from '../../src/db/grants.ts'
import { start } from '../../src/start.ts'
import { startTestApp } from '../helpers/app.ts'
import type { Answer } from '../helpers/client.ts'
import { asRole } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { newCredential, newProject, newType, uniqueName } from '../helpers/fixtures.ts'
import { startProxy } from '../helpers/proxy.ts'
import { type Replica, startReplica } from '../helpers/replica.ts'
import { newToken } from '../helpers/tokens.ts'

const service = await startTestApp(t)
const type = await newType(service.admin)

/** Creates a role of the service with a connection limit. */
async function newRole(t: Test, limit: number) {
  const name = `latchkey_few_${randomBytes(4).toString('hex')}`
  const run = (text: string) => sql.raw(text).execute(service.db)
  await run(`create role ${name} login password '${name}'`)
  await service.db.transaction().execute((trx) => grantTo(trx, name))
  t.teardown(async () => {
    await run(`drop owned by ${name}`)
    await run(`drop role ${name}`)
  })
  const setLimit = (limit: number) => run(`alter role ${name} connection limit ${limit}`)
  await setLimit(limit)
  return { name, url: asRole(service.databaseUrl, name, name), setLimit }
}

const connectionsOf = async (role: string) => {
  const { rows } = await sql<{ n: number }>`
    select count(*)::int as n from pg_stat_activity where usename = ${role}`.execute(service.db)
  return rows[0]!.n
}

/** Returns requests of each kind: with look-ups, reads, long reads, single writes and transactions. */
async function kindsAt(replica: Replica): Promise<Record<string, () => Promise<Answer>>> {
  const ann = replica.client(await service.newUser())
  const projectId = await newProject(ann)
  const { id } = await newCredential(ann, type, { projectIds: [projectId] })
  const machine = await newToken(ann, ['credentials:resolve'], { projectId })
  const create = (options = {}) => ann.post('/api/v1/projects', { name: uniqueName('P') }, options)
  return {
    'look-up': () => ann.get(`/api/v1/app-credentials/${id}`),
    read: () => ann.get('/api/v1/app-credentials'),
    'long read': () => replica.client(service.admin).get('/api/v1/audit-events'),
    sessions: () => ann.get('/api/v1/sessions'),
    create: () => create(),
    'repeatable create': () => create({ headers: { 'idempotency-key': randomBytes(9).toString('hex') } }),
    change: () => ann.put(`/api/v1/app-credentials/${id}`, { description: uniqueName('d') }),
    reveal: () => ann.post(`/api/v1/app-credentials/${id}/reveal`, {}),
    resolve: () => machine.post(`/api/v1/projects/${projectId}/resolve`, { credentials: [{ id }] }),
    'sign-in': () => replica.client().signIn(ann.person),
    denial: () => ann.get(`/api/v1/app-credentials/${service.admin.person.id}`),
    readiness: () => ann.get('/readyz')
  }
}

/** Sends requests of all kinds concurrently. Asserts that none is refused and that none waits too long. */
async function expectTurns(t: Test, kinds: Record<string, () => Promise<Answer>>) {
  const until = performance.now() + 3_000
  await Promise.all(
    Object.entries(kinds).flatMap(([kind, request]) => {
      const seen = { answers: 0, slowest: 0, refusals: [] as string[] }
      const loop = async () => {
        do {
          const from = performance.now()
          const answer = await request()
          seen.answers++
          seen.slowest = Math.max(seen.slowest, performance.now() - from)
          if (answer.status >= 400 && answer.status !== 404) seen.refusals.push(answer.text)
        } while (performance.now() < until)
      }
      const loops = Promise.all([loop(), kind === 'sign-in' ? undefined : loop()])
      return loops.then(() => {
        t.same(seen.refusals.slice(0, 2), [], `${kind}: ${seen.answers} answers`)
        t.ok(seen.slowest < 4_000, `${kind}: at most ${Math.round(seen.slowest)} ms`)
      })
    })
  )
}

for (const limit of [6, 3, 1]) {
  t.test(`with ${limit} connections for its role, requests of all kinds succeed`, async (t) => {
    const role = await newRole(t, limit)
    const replica = await startReplica(t, service, { connection: { connectionString: role.url } })
    await expectTurns(t, await kindsAt(replica))
    t.ok((await connectionsOf(role.name)) <= limit)
    await role.setLimit(30)
    await expectTurns(t, await kindsAt(replica))
    t.ok((await connectionsOf(role.name)) > limit, 'more connections are used when the limit is raised')
  })
}

t.test('a replica starts with three connections for its role', async (t) => {
  const role = await newRole(t, 3)
  const config = { ...readConfig({ LOG_LEVEL: 'silent' }), databaseUrl: role.url, rootKeys: service.rootKeys }
  const started = await start(config, { notice() {}, connectionError() {}, databaseEnded() {} })
  await started.close()
  t.pass('it started')
})

t.test('a replica opens at most LATCHKEY_DATABASE_CONNECTIONS connections', async (t) => {
  const role = await newRole(t, -1)
  for (const [connections, most] of [
    ['4', 4],
    ['9', 9]
  ] as const) {
    const replica = await startReplica(t, service, {
      connection: { connectionString: role.url },
      env: { LATCHKEY_DATABASE_CONNECTIONS: connections }
    })
    const counts: number[] = []
    const counting = (async () => {
      for (let i = 0; i < 20; i++) {
        counts.push(await connectionsOf(role.name))
        await sleep(100)
      }
    })()
    await expectTurns(t, await kindsAt(replica))
    await counting
    t.equal(Math.max(...counts), most)
    await replica.app.close()
    await replica.db.destroy()
    await eventually(async () => (await connectionsOf(role.name)) === 0, 'all are closed')
  }
})

t.test('without any connection, requests are refused in time with the reason', async (t) => {
  const role = await newRole(t, 2)
  const replica = await startReplica(t, service, {
    connection: { connectionString: role.url, connectionTimeoutMillis: 600 }
  })
  const ann = replica.client(await service.newUser())
  t.equal((await ann.get('/api/v1/session')).status, 200)
  await role.setLimit(0)
  const cut = sql`select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = ${role.name}`
  await cut.execute(service.db)
  const detail = 'The database has no free connection; try again.'
  for (const path of ['/api/v1/session', '/api/v1/app-credentials', '/readyz'])
    t.match((await ann.get(path)).json, { status: 503, code: 'unavailable', detail }, path)
  await role.setLimit(2)
  await eventually(async () => (await ann.get('/readyz')).status === 200, 'it is ready', 1_000)
  t.equal((await ann.get('/api/v1/session')).status, 200)
})

t.test('a connection that does not open does not delay requests that can use another one', async (t) => {
  const proxy = await startProxy(t, service.databaseUrl)
  const replica = await startReplica(t, service, { connection: { connectionString: proxy.url } })
  const ann = replica.client(await service.newUser())
  t.equal((await ann.get('/api/v1/session')).status, 200)
  proxy.stallNew()
  const from = performance.now()
  t.equal((await ann.post('/api/v1/projects', { name: uniqueName('P') })).status, 201)
  t.ok(performance.now() - from < 1_500, `${Math.round(performance.now() - from)} ms`)
})

t.test('requests of a role that may no longer connect are refused with the reason', async (t) => {
  const role = await newRole(t, 2)
  const { rows } = await sql<{ name: string }>`select quote_ident(current_database()) as name`.execute(
    service.db
  )
  const revoked = await startReplica(t, service, { connection: { connectionString: role.url } })
  const ann = revoked.client(await service.newUser())
  t.equal((await ann.get('/readyz')).status, 200)
  await sql.raw(`revoke connect on database ${rows[0]!.name} from public, ${role.name}`).execute(service.db)
  t.teardown(() => sql.raw(`grant connect on database ${rows[0]!.name} to public`).execute(service.db))
  const cut = sql`select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = ${role.name}`
  await cut.execute(service.db)
  const detail = 'The database rejected the connection; try again.'
  for (const path of ['/api/v1/session', '/readyz'])
    t.match((await ann.get(path)).json, { status: 503, code: 'unavailable', detail }, path)
})

t.test('a long statement continues while the name of the server cannot be resolved', async (t) => {
  const proxy = await startProxy(t, service.databaseUrl)
  let fails = false
  const lookup = dns.lookup
  t.intercept(dns, 'lookup', {
    value: (name: string, options: object, done: (error: Error | null, ...found: unknown[]) => void) => {
      const error = Object.assign(new Error('getaddrinfo EAI_AGAIN'), { code: 'EAI_AGAIN' })
      if (name === 'database.test' && fails) process.nextTick(done, error)
      else lookup(name === 'database.test' ? '127.0.0.1' : name, options, done as never)
    }
  })
  const connectionString = proxy.url.replace('127.0.0.1', 'database.test')
  const { db } = await startReplica(t, service, { connection: { connectionString } })
  await sql`select 1`.execute(db)
  fails = true
  await sql`select pg_sleep(3)`.execute(db)
  await sql`select 1`.execute(db)
  t.pass('the connection was not dropped')
})
