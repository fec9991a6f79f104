import { fastify } from 'fastify'
import t from 'tap'
import { buildApp } from '../src/app.ts'
import { auditTargetsRequired } from '../src/audit/denials.ts'
import { signedIn } from '../src/auth/principal.ts'
import { newAccessToken } from '../src/crypto/access-tokens.ts'
import { guard, guardsRequired, open } from '../src/http/guard.ts'
import { startTestApp } from './helpers/app.ts'
import { type RawRequest, send } from './helpers/raw-request.ts'

const service = await startTestApp(t)
const { app, origin, admin } = service

/** The public routes. Justify additions in the review. */
const OPEN = new Set(['POST /api/v1/session', 'GET /livez', 'GET /readyz'])
/** The routes that are not in the document: the start page, the icon, the document and its pages. */
const UNDOCUMENTED = new Set([
  ...['GET /', 'GET /favicon.ico', 'GET /openapi.json', 'GET /openapi.yaml'],
  ...['GET /reference', 'GET /reference/style.css', 'GET /docs/problems/:code'],
  ...['GET /docs/problems', 'GET /docs/problems/'],
  ...['', '/', '/openapi.json', '/start.js', '/swagger-ui.css', '/swagger-ui.js'].map(
    (path) => `GET /docs${path}`
  )
])

const ID = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'
const withId = (path: string, id: string) => path.replaceAll(/:[A-Za-z]+|\{[^}]+\}/g, id)

/** Parses all routes from the printed tree of the router. */
function routesOf(tree: string): { method: string; path: string }[] {
  const parents: string[] = []
  return tree
    .split('\n')
    .filter((line) => line.trim() !== '')
    .flatMap((line) => {
      const [, indent, part, methods] = /^([│ ]*)[├└]── (\S+)(?: \(([A-Z, ]+)\))?$/.exec(line)!
      const depth = indent!.length / 4
      parents.length = depth
      const path = parents.join('') + part
      parents.push(part!)
      return (methods?.split(', ') ?? []).map((method) => ({ method, path }))
    })
}

const routes = routesOf(app.printRoutes({ commonPrefix: false }))
const documented = Object.entries(service.contract.document.paths).flatMap(([path, operations]) =>
  Object.entries(operations).map(([method, operation]) => ({
    method: method.toUpperCase(),
    path,
    security: (operation as unknown as { security: object[] }).security
  }))
)
const nameOf = ({ method, path }: { method: string; path: string }) =>
  `${method} ${path.replaceAll(/\{([^}]+)\}/g, ':$1')}`

t.test('the router and the document have the same routes', async (t) => {
  t.ok(documented.length > 25, `${documented.length} operations`)
  t.ok(routes.length > 40, `${routes.length} routes`)
  const isHead = ({ method }: { method: string }) => method === 'HEAD'
  const undocumented = routes.filter((route) => !isHead(route)).map(nameOf)
  t.same(
    undocumented.filter((name) => !UNDOCUMENTED.has(name)).sort(),
    documented.map(nameOf).sort(),
    'every route is in the document'
  )
})

/** The Lightning API accepts unknown parameters, and has errors in another form. */
const isLightning = (path: string) => /^\/api\/(credentials|projects)/.test(path)

t.test('only the listed routes are public', async (t) => {
  for (const operation of documented) {
    const ways = (operation.security as object[]).length
    t.equal(ways === 0, OPEN.has(nameOf(operation)), nameOf(operation))
  }
  t.same(
    [...OPEN].filter((name) => !documented.some((operation) => nameOf(operation) === name)),
    []
  )
})

t.test('without a valid session or token every route returns 401, whatever else is wrong', async (t) => {
  const json = { 'content-type': 'application/json' }
  const token = 'A'.repeat(43)
  const authorization = `Bearer ${newAccessToken('project')}`
  const attempts: [string, RawRequest][] = [
    ['without anything', {}],
    ['a garbage cookie', { headers: { cookie: 'latchkey_session=garbage' } }],
    ['a cookie of the right form', { headers: { cookie: `latchkey_session=${token}` } }],
    ['a garbage token', { headers: { authorization: 'Bearer garbage' } }],
    ['a scheme that is not in the contract', { headers: { authorization: 'Basic YTpi' } }],
    ['a good cookie as a token', { headers: { authorization: `Bearer ${admin.cookie!.split('=')[1]}` } }],
    [
      'a garbage token beside a good cookie',
      { headers: { authorization: 'Bearer x', cookie: admin.cookie! } }
    ],
    ['a garbage body', { headers: json, body: '{"a":' }],
    ['a token of the right form', { headers: { authorization } }],
    ['such a token, a garbage body', { headers: { ...json, authorization }, body: '{"a":' }],
    ['such a token, a body not of the schema', { headers: { ...json, authorization }, body: '{"a":1}' }],
    [
      'such a token, a body of another type',
      { headers: { 'content-type': 'text/plain', authorization }, body: 'garbage' }
    ],
    ['a body of another type', { headers: { 'content-type': 'text/plain' }, body: 'garbage' }],
    ['from another site', { headers: { ...json, origin: 'https://evil.example' }, body: '{}' }]
  ]
  const secured = routes.filter((route) => {
    const asGet = { ...route, method: route.method.replace('HEAD', 'GET') }
    return !OPEN.has(nameOf(asGet)) && !UNDOCUMENTED.has(nameOf(asGet))
  })
  t.ok(secured.length > 35, `${secured.length} secured routes`)
  for (const route of secured) {
    for (const id of [ID, 'garbage']) {
      for (const [name, request] of attempts) {
        const path = `${withId(route.path, id)}?garbage=1`
        const answer = await send(origin, path, { ...request, method: route.method })
        if (answer.status !== 401) t.fail(`${route.method} ${path} ${name}: ${answer.status}`)
        else if (route.method !== 'HEAD')
          t.match(answer.json, isLightning(path) ? { error: 'Unauthorized' } : { code: 'unauthenticated' })
        if (answer.headers['cache-control'] !== 'no-store') t.fail(`${nameOf(route)}: no-store`)
      }
    }
  }
})

t.test('every route refuses unknown query parameters', async (t) => {
  for (const { method, path } of documented.filter((one) => !isLightning(one.path))) {
    const answer = await admin.request(method, `${withId(path, ID)}?unheardOf=1`)
    t.match(answer.json, { status: 400, code: 'validation-failed' }, nameOf({ method, path }))
  }
})

t.test('caches may not store API responses of any status', async (t) => {
  for (const { method, path } of documented.filter(
    (one) => one.path.startsWith('/api/') && !one.path.endsWith('/session')
  )) {
    const answer = await admin.request(method, withId(path, ID))
    t.equal(answer.headers.get('cache-control'), 'no-store', `${nameOf({ method, path })}: ${answer.status}`)
  }
  t.equal((await admin.get('/api/v1/session')).headers.get('cache-control'), 'no-store')
})

t.test('the service does not start with a route that has no guard', async (t) => {
  const handler = async () => 'anything'
  const check = async () => {}
  const unguarded: [string, object][] = [
    ['none at all', {}],
    ['a function that is not a guard', { preHandler: check }],
    ['a list of them', { preHandler: [check, check] }],
    ['only a hook before', { onRequest: check }]
  ]
  for (const [name, options] of unguarded) {
    const made = fastify()
    await made.register(guardsRequired)
    made.register(async (inner) => inner.route({ method: 'GET', url: '/thing', ...options, handler }), {
      prefix: '/api/v1'
    })
    await t.rejects(async () => made.ready(), { message: 'GET /api/v1/thing has no guard' }, name)
  }
  const made = fastify()
  await made.register(guardsRequired)
  made.get('/a', { preHandler: open }, handler)
  made.get('/b', { preHandler: [check, guard(() => 1)] }, handler)
  await made.ready()
})

t.test('a route without a guard cannot be added to the service later', async (t) => {
  const made = await buildApp(app.services)
  t.teardown(() => made.close())
  const handler = async () => 'anything'
  t.throws(() => made.get('/api/v1/late', handler), { message: 'GET /api/v1/late has no guard' })
  t.throws(() => made.get('/late', handler), { message: 'GET /late has no guard' })
  made.get('/guarded', { preHandler: open }, handler)
})

t.test('the service does not start with a path parameter without an audit target', async (t) => {
  const made = fastify()
  await made.register(auditTargetsRequired)
  const handler = async () => 'anything'
  const add = (url: string, auditTarget?: { [param: string]: 'user' }) =>
    made.get(url, { schema: auditTarget ? { auditTarget } : {} }, handler)
  t.throws(() => add('/a/:id'), { message: 'GET /a/:id has no audit target in its path' })
  t.throws(() => add('/b/:id', {}), /has no audit target/)
  t.throws(() => add('/c/:id', { userId: 'user' }), /has no audit target/, 'a parameter of another path')
  t.throws(() => made.get('/d/:id', handler), /has no audit target/, 'a route without a schema')
  add('/e/:id', { id: 'user' })
  add('/f')
  await made.ready()
  const late = await buildApp(app.services)
  t.teardown(() => late.close())
  t.throws(() => late.get('/late/:id', { preHandler: signedIn }, handler), /has no audit target/)
  late.get('/open/:id', { preHandler: open, schema: { hide: true } }, handler)
})

t.test('every schema of every route compiles', async (t) => {
  const eager = await buildApp(app.services, { write: () => {} }, { eagerSchemas: true })
  t.teardown(() => eager.close())
  await t.resolves(async () => eager.ready())
  const broken = { querystring: { type: 'no such type' } }
  const brokenAnswer = { response: { 200: { $ref: 'nowhere#' } } }
  for (const schema of [broken, brokenAnswer]) {
    for (const eagerSchemas of [true, false]) {
      const made = await buildApp(app.services, { write: () => {} }, { eagerSchemas })
      t.teardown(() => made.close())
      made.get('/broken', { schema: { ...schema, hide: true }, preHandler: open }, async () => 'anything')
      if (eagerSchemas) await t.rejects(async () => made.ready(), { code: /^FST_ERR_SCH_/ })
      else await t.resolves(async () => made.ready(), 'schemas are compiled on first use')
    }
  }
})

t.test('the result of a guard that has not run cannot be read', async (t) => {
  const made = fastify()
  const found = guard(() => 'found')
  made.get('/checked', { preHandler: found }, async (request) => found.of(request))
  made.get('/forgotten', { preHandler: open }, async (request) => found.of(request))
  made.get('/nobody', { preHandler: open }, async (request) => signedIn.of(request))
  t.equal((await made.inject('/checked')).body, 'found')
  t.equal((await made.inject('/forgotten')).statusCode, 500)
  t.equal((await made.inject('/nobody')).statusCode, 500)
})

t.test('the handler does not run if a guard throws', async (t) => {
  const made = fastify()
  let ran = false
  const never = guard(async () => {
    throw Object.assign(new Error('no'), { statusCode: 403 })
  })
  made.get('/', { preHandler: never }, async () => {
    ran = true
    return 'ran'
  })
  t.equal((await made.inject('/')).statusCode, 403)
  t.notOk(ran)
})
