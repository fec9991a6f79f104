import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { send } from '../helpers/raw-request.ts'

const service = await startTestApp(t)
const { origin, admin } = service

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND', 'QUERY']
const documented = Object.entries(service.contract.document.paths).map(([path, operations]) => ({
  path,
  methods: Object.keys(operations).map((method) => method.toUpperCase())
}))
const isLightning = (path: string) => /^\/api\/(credentials|projects)/.test(path)

/** Returns the methods in an `Allow` header. */
const allowed = (header: unknown) => String(header).split(', ')

t.test('a known path with another method is 405, with the allowed methods', async (t) => {
  t.ok(documented.length > 25, `${documented.length} paths`)
  for (const { path, methods } of documented) {
    const has = new Set([...methods, ...(methods.includes('GET') ? ['HEAD'] : [])])
    for (const id of ['019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12', 'no id', '%C3%A9']) {
      const url = path.replaceAll(/\{[^}]+\}/g, encodeURI(decodeURI(id)))
      for (const method of METHODS.filter((one) => !has.has(one))) {
        const body = ['GET', 'HEAD'].includes(method)
          ? {}
          : { body: '{"a":', headers: { 'content-type': 'x' } }
        const answer = await send(origin, url, { method, ...body })
        const name = `${method} ${url}`
        t.equal(answer.status, 405, name)
        for (const one of has) t.ok(allowed(answer.headers.allow).includes(one), `${name} allows ${one}`)
        t.notOk(allowed(answer.headers.allow).includes(method), `${name} does not allow it`)
        t.equal(answer.headers['cache-control'], 'no-store', name)
        if (method === 'HEAD') continue
        t.match(
          answer.json,
          isLightning(path) ? { error: 'Method Not Allowed' } : { status: 405, code: 'method-not-allowed' },
          name
        )
      }
    }
  }
})

t.test('OPTIONS lists the methods of a path', async (t) => {
  for (const { path, methods } of documented) {
    const answer = await send(origin, path.replaceAll(/\{[^}]+\}/g, 'x'), { method: 'OPTIONS' })
    t.equal(answer.status, 204, path)
    for (const method of [...methods, 'OPTIONS'])
      t.ok(allowed(answer.headers.allow).includes(method), `${path}: ${method}`)
    t.equal(answer.text, '', path)
    t.equal(answer.headers['x-content-type-options'], 'nosniff', path)
  }
  t.equal((await send(origin, '/api/v1/nothing', { method: 'OPTIONS' })).status, 404)
})

t.test('a path that matches two routes allows the methods of both', async (t) => {
  const answer = await send(origin, '/api/v1/app-credentials/by-project/x', { method: 'PATCH' })
  t.equal(answer.status, 405)
  t.same(allowed(answer.headers.allow).includes('GET'), true)
})

t.test('an unknown path is 404, in both APIs', async (t) => {
  for (const method of [...METHODS, 'OPTIONS']) {
    for (const path of ['/nothing', '/api/v1/nothing', '/api/v1/projects/x/y/z/w', '/api/v1/session/']) {
      const answer = await send(origin, path, { method })
      t.equal(answer.status, 404, `${method} ${path}`)
      t.equal(answer.headers.allow, undefined)
      if (method === 'HEAD') continue
      t.match(answer.json, {
        type: '/docs/problems/no-such-route',
        code: 'no-such-route',
        detail: 'There is no such route; see /docs.'
      })
    }
    if (method === 'HEAD') continue
    const lightning = await send(origin, '/api/credentials/x/y', { method })
    t.same(
      [lightning.status, lightning.json],
      [404, { error: 'Not Found' }],
      `${method} of the Lightning API`
    )
  }
})

t.test('an unknown or hidden resource has another code than an unknown route', async (t) => {
  const path = '/api/v1/app-credentials/019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'
  t.match((await admin.get(path)).json, { status: 404, code: 'not-found' })
})

t.test('with CORS, a preflight succeeds, and another method is 405', async (t) => {
  const cors = await startTestApp(t, { CORS_ORIGINS: 'https://app.example.org' })
  const headers = { origin: 'https://app.example.org', 'access-control-request-method': 'PUT' }
  const preflight = await send(cors.origin, '/api/v1/projects', { method: 'OPTIONS', headers })
  t.equal(preflight.status, 204)
  t.equal(preflight.headers['access-control-allow-origin'], 'https://app.example.org')
  const other = await send(cors.origin, '/api/v1/projects', { method: 'PATCH', headers })
  t.equal(other.status, 405)
  t.equal((await send(cors.origin, '/nothing', { method: 'PATCH' })).status, 404)
})
