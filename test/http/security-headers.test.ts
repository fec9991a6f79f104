import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { send } from '../helpers/raw-request.ts'
import { startReplica } from '../helpers/replica.ts'

const service = await startTestApp(t)
const { origin, admin } = service
const secure = await startReplica(t, service, { env: { PUBLIC_URL: 'https://keys.example.org' } })

const paths = [
  '/api/v1/session',
  '/api/v1/users',
  '/api/v1/nothing',
  '/api/v1/projects/%ff',
  '/livez',
  '/readyz',
  '/nothing',
  '/',
  '/favicon.ico',
  '/openapi.json',
  '/openapi.yaml'
]

t.test('responses cannot be framed, sniffed, or run as a page', async (t) => {
  for (const path of paths) {
    for (const headers of [{}, { cookie: admin.cookie! }]) {
      const answer = await send(origin, path, { headers })
      const name = `${path} ${answer.status}`
      t.equal(answer.headers['x-content-type-options'], 'nosniff', name)
      t.equal(answer.headers['content-security-policy'], "default-src 'none';frame-ancestors 'none'", name)
      t.match(answer.headers['content-type'], /; charset=utf-8$/, name)
      t.equal(answer.headers['x-powered-by'], undefined, name)
      t.equal(answer.headers.server, undefined, name)
      if (!path.includes('%')) {
        t.equal(answer.headers['x-frame-options'], 'DENY', name)
        t.equal(answer.headers['referrer-policy'], 'no-referrer', name)
      }
    }
  }
})

t.test('caches may store only the documents', async (t) => {
  const documents = ['/favicon.ico', '/openapi.json', '/openapi.yaml']
  // The router accepts these forms too.
  const forms = ['/%61pi/v1/session', `${origin}/api/v1/session`]
  for (const path of [...paths, ...forms].filter((one) => !documents.includes(one))) {
    for (const method of ['GET', 'HEAD', 'POST', 'DELETE']) {
      const answer = await send(origin, path, { method })
      t.equal(answer.headers['cache-control'], 'no-store', `${method} ${path} ${answer.status}`)
    }
    const answer = await send(origin, path, { headers: { cookie: admin.cookie! } })
    t.equal(answer.headers['cache-control'], 'no-store', `${path} ${answer.status}`)
  }
  for (const form of forms)
    t.equal((await send(origin, form, { headers: { cookie: admin.cookie! } })).status, 200, form)
  for (const path of documents) t.equal((await send(origin, path)).headers['cache-control'], 'no-cache', path)
})

t.test('a service on https sends Strict-Transport-Security', async (t) => {
  const [plain, https] = [await send(origin, '/livez'), await send(secure.origin, '/livez')]
  t.equal(plain.headers['strict-transport-security'], undefined)
  t.match(https.headers['strict-transport-security'], /^max-age=31536000/)
})

t.test('Swagger UI runs only its own scripts, and may not be framed', async (t) => {
  const page = await send(origin, '/docs/')
  t.equal(page.status, 200)
  const policy = String(page.headers['content-security-policy'])
  t.match(policy, /default-src 'none'/)
  t.match(policy, /frame-ancestors 'none'/)
  t.notMatch(
    policy,
    /https?:|upgrade-insecure-requests/,
    'works over http, and loads nothing from other hosts'
  )
  t.notMatch(/script-src[^;]*/.exec(policy)?.[0] ?? '', /unsafe-inline|unsafe-eval|\*/)
  t.match(policy, /script-src/)
  t.equal(page.headers['x-frame-options'], 'DENY')
  t.equal(page.headers['x-content-type-options'], 'nosniff')
  t.notMatch(page.text, /https?:\/\/(?!127\.0\.0\.1|www\.w3\.org)/, 'nothing is loaded from other hosts')
})
