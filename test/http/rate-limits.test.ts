import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import type { Answer } from '../helpers/client.ts'
import { newProject } from '../helpers/fixtures.ts'
import { send } from '../helpers/raw-request.ts'
import { startReplica } from '../helpers/replica.ts'
import { newToken } from '../helpers/tokens.ts'

const service = await startTestApp(t)
const LIMIT = 6

/** Starts a replica with a small limit. The service itself has none. */
const limited = (t: Test, by: 'CALLER' | 'ADDRESS') =>
  startReplica(t, service, {
    env: { [`LATCHKEY_${by}_REQUESTS_PER_MINUTE`]: String(LIMIT), METRICS_PORT: '0' }
  })

async function scrape({ app }: Pick<TestApp, 'app'>): Promise<string> {
  const { address, port } = app.metrics.address!
  return (await fetch(`http://${address}:${port}/metrics`)).text()
}

function isLimited(t: Test, answer: Pick<Answer, 'status' | 'json'> & { headers: Headers }, name: string) {
  t.equal(answer.status, 429, name)
  t.match(answer.json, { code: 'too-many-requests' }, name)
  const wait = Number(answer.headers.get('retry-after'))
  t.ok(wait >= 1 && wait <= 60, `${name}: Retry-After ${wait}`)
  t.equal(answer.headers.get('ratelimit-limit'), String(LIMIT), name)
  t.equal(answer.headers.get('ratelimit-remaining'), '0', name)
}

t.test('a caller has a limit per minute for all sessions and tokens together', async (t) => {
  const replica = await limited(t, 'CALLER')
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const first = replica.client(ann)
  const second = replica.client()
  await second.signIn(ann.person)
  const token = replica.client()
  token.bearer = (await newToken(ann, ['credentials:read'])).bearer!
  for (let i = 1; i <= LIMIT; i++) {
    const client = [first, second, token][i % 3]!
    const answer = await client.get('/api/v1/app-credentials')
    t.equal(answer.status, 200)
    t.equal(answer.headers.get('ratelimit-remaining'), String(LIMIT - i))
    t.ok(Number(answer.headers.get('ratelimit-reset')) <= 60)
  }
  for (const client of [first, second, token]) isLimited(t, await client.get('/api/v1/projects'), 'over it')
  isLimited(t, await first.post('/api/v1/projects', { name: 'P' }), 'a change')
  const large = await first.post('/api/v1/projects', { name: 'x'.repeat(100_000) })
  isLimited(t, large, 'a large body, which is not read')
  const lightning = await first.get('/api/credentials')
  t.match(lightning, { status: 429, json: { error: 'Too Many Requests' } })
  t.equal(
    (await replica.client(bob).get('/api/v1/projects')).status,
    200,
    'other callers have separate limits'
  )
  t.equal((await ann.get('/api/v1/projects')).status, 200, 'replicas count separately')
  t.match(await scrape(replica), /^latchkey_requests_limited_total\{by="caller"\} [1-9]/m)
})

t.test('each project token has its own limit', async (t) => {
  const replica = await limited(t, 'CALLER')
  const ann = await service.newUser()
  const projectId = await newProject(ann)
  const [one, two] = [
    await newToken(ann, ['credentials:read'], { projectId }),
    await newToken(ann, ['credentials:read'], { projectId })
  ].map(({ bearer }) => Object.assign(replica.client(), { bearer }))
  const path = `/api/v1/app-credentials/by-project/${projectId}`
  for (let i = 0; i < LIMIT; i++) t.equal((await one!.get(path)).status, 200)
  isLimited(t, await one!.get(path), 'over it')
  t.equal((await two!.get(path)).status, 200)
})

t.test('unauthenticated requests are limited by address, separately from callers', async (t) => {
  const ann = await service.newUser()
  const cases: [string, (origin: string) => Promise<{ status: number }>][] = [
    ['no token', (origin) => send(origin, '/api/v1/projects')],
    [
      'a malformed token',
      (origin) => send(origin, '/api/v1/projects', { headers: { authorization: 'Bearer x' } })
    ],
    [
      'an unknown session',
      (origin) =>
        send(origin, '/api/v1/projects', { headers: { cookie: `latchkey_session=${'A'.repeat(43)}` } })
    ],
    [
      'an unknown session, a malformed body',
      (origin) =>
        send(origin, '/api/v1/projects', {
          method: 'POST',
          headers: { cookie: `latchkey_session=${'A'.repeat(43)}`, 'content-type': 'application/json' },
          body: '{'
        })
    ],
    [
      'an unknown session, a large body',
      (origin) =>
        send(origin, '/api/v1/projects', {
          method: 'POST',
          headers: { cookie: `latchkey_session=${'A'.repeat(43)}`, 'content-type': 'application/json' },
          body: `"${'x'.repeat(30_000)}"`
        })
    ],
    [
      'a sign-in that fails',
      (origin) =>
        send(origin, '/api/v1/session', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{}'
        })
    ],
    ['no such path', (origin) => send(origin, '/nothing')],
    ['an empty segment', (origin) => send(origin, '/api/v1/projects/')],
    ['the document', (origin) => send(origin, '/openapi.json')]
  ]
  for (const [name, request] of cases) {
    const replica = await limited(t, 'ADDRESS')
    for (let i = 0; i < LIMIT; i++) t.not((await request(replica.origin)).status, 429, name)
    t.equal((await request(replica.origin)).status, 429, name)
    isLimited(t, await replica.client().get('/api/v1/projects'), `${name}: applies to the whole address`)
    t.equal((await replica.client(ann).get('/api/v1/projects')).status, 200, `${name}: not for callers`)
    t.equal((await replica.client().get('/livez')).status, 200, `${name}: not for probes`)
    t.equal((await replica.client().get('/readyz')).status, 200, `${name}: not for probes`)
    t.match(await scrape(replica), /^latchkey_requests_limited_total\{by="address"\} [1-9]/m)
  }
})

t.test('while the event loop lags, requests are refused at once, but not liveness', async (t) => {
  const replica = await startReplica(t, service, { env: { METRICS_PORT: '0' } })
  // Not `Client`, which would retry.
  const send = () => fetch(`${replica.origin}/readyz`)
  let answer = await send()
  for (let round = 0; round < 5 && answer.status === 200; round++) {
    // Blocks the event loop, as an attacker might.
    for (let i = 0; i < 3; i++) {
      const until = performance.now() + 1_200
      while (performance.now() < until);
      await new Promise(setImmediate)
    }
    await sleep(5)
    answer = await send()
  }
  t.equal(answer.status, 503)
  t.match(await answer.json(), { code: 'unavailable' })
  t.equal(answer.headers.get('retry-after'), '2')
  t.equal((await replica.client().get('/livez')).status, 200)
  t.match(await scrape(replica), /^latchkey_requests_shed_total [1-9]/m)
  for (let i = 0; i < 50 && answer.status !== 200; i++) {
    await sleep(100)
    answer = await send()
  }
  t.equal(answer.status, 200, 'it ends with the lag')
})
