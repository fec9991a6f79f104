import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { startTestApp } from '../helpers/app.ts'
import type { Answer, Client } from '../helpers/client.ts'
import { eventually } from '../helpers/eventually.ts'
import { startProxy } from '../helpers/proxy.ts'
import { startReplica } from '../helpers/replica.ts'

const service = await startTestApp(t)
const UNKNOWN_ID = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'

/** The method and path of every operation. */
const operations = Object.entries(service.contract.document.paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method) => ({
    method: method.toUpperCase(),
    path: path.replaceAll(/\{[^}]+\}/g, UNKNOWN_ID)
  }))
)

function isUnavailable(t: Test, name: string, answer: Answer) {
  t.equal(answer.status, 503, `${name}: 503`)
  const problem = { status: 503, code: 'unavailable', requestId: answer.headers.get('x-request-id') }
  // The Lightning API returns errors in another form.
  t.match(
    answer.json,
    /\/api\/(credentials|projects)/.test(name) ? { error: 'Service Unavailable' } : problem,
    name
  )
  t.match(answer.headers.get('retry-after'), /^[1-9]\d*$/, `${name}: has Retry-After`)
}

/** One request of each kind: a read, a write of one statement, a transaction, and a sign-in. */
const kinds: [string, (client: Client) => Promise<Answer>][] = [
  ['a read', (client) => client.get('/api/v1/sessions')],
  ['a write', (client) => client.delete(`/api/v1/sessions/${UNKNOWN_ID}`)],
  ['a transaction', (client) => client.put(`/api/v1/users/${client.person.id}`, { name: 'Ann' })],
  ['a sign-in', (client) => client.other().post('/api/v1/session', { email: 'a@example.org', password: 'x' })]
]
const FINE = [200, 401, 404]

async function allAreFine(t: Test, client: Client) {
  for (const [name, request] of kinds) {
    const { status } = await request(client)
    t.ok(FINE.includes(status), `${name}: ${status}`)
  }
  t.equal((await client.get('/readyz')).status, 200)
}

t.test(
  'without its database every route returns 503, and works again when the database is back',
  async (t) => {
    const proxy = await startProxy(t, service.databaseUrl)
    const replica = await startReplica(t, service, { connection: { connectionString: proxy.url } })
    const ann = replica.client(await service.newUser())
    await allAreFine(t, ann)
    proxy.refuse()
    t.ok(operations.length > 10)
    for (const { method, path } of operations) {
      const name = `${method} ${path}`
      const body =
        path === '/api/v1/session' && method === 'POST'
          ? { email: 'a@example.org', password: 'x' }
          : undefined
      const answer = await ann.request(method, path, body)
      if (path === '/livez') t.equal(answer.status, 200, name)
      else isUnavailable(t, name, answer)
    }
    t.equal((await ann.get('/openapi.json')).status, 200, 'routes that need no database work')
    t.equal((await ann.get('/nothing')).status, 404)
    proxy.restore()
    await allAreFine(t, ann)
  }
)

t.test('requests whose connections are cut return 503, and the next ones succeed', async (t) => {
  const proxy = await startProxy(t, service.databaseUrl)
  const replica = await startReplica(t, service, { connection: { connectionString: proxy.url } })
  const ann = replica.client(await service.newUser())
  const held = await service.db.transaction().execute(async (trx) => {
    await sql`update users set name = 'Held' where id = ${ann.person.id}`.execute(trx)
    const waiting = [
      ann.put(`/api/v1/users/${ann.person.id}`, { name: 'Ann' }),
      ann.put(`/api/v1/users/${ann.person.id}`, { name: 'Ann' })
    ]
    await eventually(async () => {
      const { rows } = await sql`select 1 from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`.execute(service.db)
      return rows.length === 2
    }, 'the requests wait')
    proxy.cut()
    return Promise.all(waiting)
  })
  for (const answer of held) isUnavailable(t, 'cut off', answer)
  await allAreFine(t, ann)
})

t.test('a silent database delays requests only briefly, and is used again when it is back', async (t) => {
  const proxy = await startProxy(t, service.databaseUrl)
  const connection = { connectionString: proxy.url, query_timeout: 400, connectionTimeoutMillis: 400 }
  const replica = await startReplica(t, service, { connection })
  const ann = replica.client(await service.newUser())
  await allAreFine(t, ann)
  proxy.stall()
  for (const [name, request] of [...kinds, ['readyz', (client: Client) => client.get('/readyz')] as const]) {
    const from = performance.now()
    isUnavailable(t, name, await request(ann))
    t.ok(performance.now() - from < 6_000, `${name}: in time`)
  }
  t.equal((await ann.get('/livez')).status, 200)
  proxy.restore()
  await eventually(async () => (await ann.get('/readyz')).status === 200, 'it is ready again')
  // The write pool may still have stalled connections, each of which costs one more timeout.
  for (let i = 0; i < 10; i++) await ann.delete(`/api/v1/sessions/${UNKNOWN_ID}`)
  await allAreFine(t, ann)
})

t.test('with the pool exhausted, writes wait a limited time, and reads do not wait', async (t) => {
  const connection = { connectionTimeoutMillis: 300 }
  const replica = await startReplica(t, service, {
    connection,
    env: { LATCHKEY_DATABASE_CONNECTIONS: '4' }
  })
  const ann = replica.client(await service.newUser())
  await replica.db.transaction().execute(async () => {
    for (const [name, request] of kinds.slice(1)) {
      const from = performance.now()
      isUnavailable(t, name, await request(ann))
      t.ok(performance.now() - from < 6_000, `${name}: in time`)
    }
    t.equal((await ann.get('/api/v1/sessions')).status, 200)
  })
  await allAreFine(t, ann)
})

t.test('a write waits a limited time for a lock', async (t) => {
  const replica = await startReplica(t, service, { connection: { lock_timeout: '200ms' } })
  const ann = replica.client(await service.newUser())
  await service.db.transaction().execute(async (trx) => {
    await sql`update users set name = 'Held' where id = ${ann.person.id}`.execute(trx)
    isUnavailable(t, 'a write', await ann.put(`/api/v1/users/${ann.person.id}`, { name: 'Ann' }))
  })
  await allAreFine(t, ann)
})

// The following tests break tables of this service.
const broken = await startTestApp(t)

t.test('an internal error is logged, and the caller learns only that it happened', async (t) => {
  const ann = await broken.newUser()
  const canary = 'canary-77aa@example.org'
  await sql`alter table login_failures rename to mislaid`.execute(broken.db)
  const answer = await broken.anonymous().signIn({ email: canary, password: 'canary-77aa' })
  t.match(answer.json, { status: 500, code: 'internal-error', requestId: answer.headers.get('x-request-id') })
  t.notMatch(answer.text, /login_failures|relation|select|stack|\.ts/)
  const lines = broken.log
    .map((line) => JSON.parse(line))
    .filter((line) => line.requestId === answer.json.requestId)
  t.match(
    lines.filter((line) => line.level === 'error'),
    [{ code: 'internal-error', err: { code: '42P01' } }]
  )
  t.notMatch(broken.log.join(), 'canary-77aa')
  t.equal((await ann.get('/api/v1/session')).status, 200, 'other requests work')
})

t.test('error messages of Postgres, which quote values, are not logged', async (t) => {
  await sql`alter table users add constraint no_canaries check (name not like '%canary-88bb%')`.execute(
    broken.db
  )
  const answer = await broken.admin.put(`/api/v1/users/${broken.admin.person.id}`, { name: 'a canary-88bb' })
  t.equal(answer.status, 500)
  t.notMatch(answer.text, 'canary-88bb')
  const line = broken.log
    .map((one) => JSON.parse(one))
    .find((one) => one.level === 'error' && one.requestId === answer.json.requestId)
  t.match(line.err, { code: '23514', constraint: 'no_canaries', table: 'users' })
  t.notMatch(broken.log.join(), 'canary-88bb')
})
