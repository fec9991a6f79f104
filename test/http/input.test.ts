import { randomUUID } from 'node:crypto'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { newType } from '../helpers/fixtures.ts'
import { type RawAnswer, type RawRequest, send, sendRawBytes } from '../helpers/raw-request.ts'

const service = await startTestApp(t)
const { origin } = service
const ann = await service.newUser()

/** Sent in every request of this file. Neither responses nor the log may contain it. */
const CANARY = 'canary-5d1f0c'
const JSON_TYPE = 'application/json'

/** Asserts that the response is a complete problem with this status and code, and echoes no input. */
function isProblem(t: Test, name: string, answer: RawAnswer, status: number, code?: string) {
  t.equal(answer.status, status, `${name}: ${status}`)
  t.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8', `${name}: type`)
  const { json, headers } = answer
  const type = `/docs/problems/${json?.code}`
  t.match(json, { type, status, title: String, detail: String, requestId: String }, `${name}: shape`)
  if (code) t.equal(json?.code, code, `${name}: ${code}`)
  t.match(json?.code, /^[a-z]+(-[a-z]+)*$/, `${name}: a code`)
  t.equal(json?.requestId, headers['x-request-id'], `${name}: request id`)
  t.notMatch(answer.text + JSON.stringify(headers), CANARY, `${name}: no echo`)
}

// Two routes with a body: one is public, the other requires a session.
const routes: { path: string; method: string; headers: () => Record<string, string>; good: object }[] = [
  {
    method: 'POST',
    path: '/api/v1/session',
    headers: () => ({}),
    good: { email: `${CANARY}@example.org`, password: CANARY }
  },
  {
    method: 'PUT',
    path: '/api/v1/users/me/password',
    headers: () => ({ cookie: ann.cookie! }),
    good: { currentPassword: CANARY, newPassword: `${CANARY}-long-enough` }
  }
]

async function eachRoute(work: (route: (typeof routes)[number], name: string) => Promise<void>) {
  for (const route of routes) await work(route, `${route.method} ${route.path}`)
}

const sendTo = (route: (typeof routes)[number], request: RawRequest) =>
  send(origin, route.path, {
    method: route.method,
    ...request,
    headers: { ...route.headers(), 'content-type': JSON_TYPE, ...request.headers }
  })

// Slow requests, which run during all tests. The last test waits for them.
const slow = (() => {
  const start = 'POST /api/v1/session HTTP/1.1\r\nHost: x\r\n'
  const type = 'Content-Type: application/json\r\n'
  return {
    'slow headers': sendRawBytes(origin, `${start}X-Slow: ${CANARY}`),
    'no bytes': sendRawBytes(origin, ''),
    'a slow body': sendRawBytes(origin, `${start}${type}Content-Length: 100\r\n\r\n{"email":"${CANARY}`),
    'a slow chunk': sendRawBytes(
      origin,
      `${start}${type}Transfer-Encoding: chunked\r\n\r\n40\r\n{"email":"${CANARY}`
    ),
    ...Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [
        `slow headers ${i}`,
        sendRawBytes(origin, `${start}X-Slow: ${i}`)
      ])
    )
  }
})()

t.test('a body must be application/json in UTF-8', async (t) => {
  const types = [
    'text/plain',
    'application/x-www-form-urlencoded',
    `multipart/form-data; boundary=${CANARY}`,
    'application/jsonx',
    'application/json5',
    'text/json',
    'application/vnd.api+json',
    'application',
    '*/*',
    `${CANARY}/json`,
    'application/json; charset=latin1',
    'application/json; charset=utf-16',
    'application/json;charset="iso-8859-1"',
    `application/json; charset=${CANARY}`
  ]
  await eachRoute(async (route, name) => {
    const body = JSON.stringify(route.good)
    for (const type of types) {
      const answer = await sendTo(route, { headers: { 'content-type': type }, body })
      isProblem(t, `${name} ${type}`, answer, 415, 'unsupported-media-type')
    }
    const untyped = await send(origin, route.path, { method: route.method, headers: route.headers(), body })
    isProblem(t, `${name} without a type`, untyped, 415, 'unsupported-media-type')
  })
})

t.test('the content type may be written in any valid way', async (t) => {
  const types = [
    'application/json',
    'application/json; charset=utf-8',
    'application/json;charset="UTF-8"',
    'Application/JSON ; Charset=Utf-8'
  ]
  for (const type of types) {
    const answer = await sendTo(routes[0]!, {
      headers: { 'content-type': type },
      body: JSON.stringify({ email: ann.person.email, password: ann.person.password })
    })
    t.equal(answer.status, 200, type)
  }
})

t.test('a compressed body is refused', async (t) => {
  await eachRoute(async (route, name) => {
    const body = JSON.stringify(route.good)
    const cases: [string, Buffer | string][] = [
      ['gzip', gzipSync(body)],
      ['br', brotliCompressSync(body)],
      ['deflate', body],
      ['identity, gzip', body],
      [CANARY, body],
      ['gzip', gzipSync(Buffer.alloc(1024 * 1024))]
    ]
    for (const [encoding, bytes] of cases) {
      const answer = await sendTo(route, { headers: { 'content-encoding': encoding }, body: bytes })
      isProblem(t, `${name} ${encoding}`, answer, 415, 'unsupported-media-type')
    }
  })
})

t.test('the content encoding may be identity, in any case', async (t) => {
  for (const encoding of ['identity', 'Identity', 'IDENTITY', '']) {
    const body = JSON.stringify({ email: ann.person.email, password: ann.person.password })
    const answer = await sendTo(routes[0]!, { headers: { 'content-encoding': encoding }, body })
    t.equal(answer.status, 200, `"${encoding}"`)
  }
})

t.test('a content type without a body is ignored, and with a body it must be JSON', async (t) => {
  const remove = (type: string, body: string) =>
    send(origin, '/api/v1/app-credentials/x', {
      method: 'DELETE',
      headers: { cookie: ann.cookie!, 'content-type': type, 'content-length': String(body.length) },
      body
    })
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', JSON_TYPE]) {
    isProblem(t, `${type}, empty`, await remove(type, ''), 404, 'not-found')
    if (type !== JSON_TYPE) isProblem(t, type, await remove(type, 'a=b'), 415, 'unsupported-media-type')
  }
})

/** Returns the JSON of the valid body, with `more` inserted after its opening brace. */
const with_ = (route: (typeof routes)[number], more: string) =>
  JSON.stringify(route.good).replace('{', `{${more},`)
const firstKey = (route: (typeof routes)[number]) => Object.keys(route.good)[0]!
const bytesWith = (route: (typeof routes)[number], bytes: number[]) => {
  const [before, after] = JSON.stringify(route.good).split(CANARY, 2) as [string, string]
  return Buffer.concat([Buffer.from(before + CANARY), Buffer.from(bytes), Buffer.from(`${after}"}`)])
}

t.test('a body that is not one JSON document in UTF-8 is malformed', async (t) => {
  await eachRoute(async (route, name) => {
    const good = JSON.stringify(route.good)
    const key = firstKey(route)
    const escaped = `\\u00${key.charCodeAt(0).toString(16)}${key.slice(1)}`
    const cases: Record<string, string | Buffer> = {
      'white space': ' \n',
      'cut off': good.slice(0, -1),
      'cut off in a string': good.slice(0, -5),
      'cut off in an escape': `${good.slice(0, -2)}\\u00`,
      'trailing text': `${good} ${CANARY}`,
      'two documents': `${good}\n${good}`,
      'a trailing comma': good.replace('}', ',}'),
      'a comment': `/* ${CANARY} */${good}`,
      'single quotes': good.replaceAll('"', "'"),
      NaN: with_(route, '"n":NaN'),
      'a raw control character': good.replace(CANARY, `${CANARY}\n`),
      'an invalid escape': good.replace(CANARY, `\\x41${CANARY}`),
      'not UTF-8': bytesWith(route, [0xff]),
      'UTF-8 that is longer than it has to be': bytesWith(route, [0xc0, 0x80]),
      'half a surrogate pair in UTF-8': bytesWith(route, [0xed, 0xa0, 0x80]),
      'a character cut off': bytesWith(route, [0xe2, 0x82]),
      'UTF-16': Buffer.from(good, 'utf16le'),
      'a key twice': with_(route, `"${key}":"${CANARY}"`),
      'a key twice, once in escapes': with_(route, `"${escaped}":"${CANARY}"`),
      'a key twice in a nested object': with_(route, `"x":[{"a":{"b":1,"c":[],"b":2}}]`),
      'a key twice, with braces in strings between': with_(route, `"x":{"a":"}{\\"","b":",","a":1}`),
      'an empty key twice': with_(route, `"x":{"":1,"":2}`)
    }
    for (const [what, body] of Object.entries(cases)) {
      isProblem(t, `${name}: ${what}`, await sendTo(route, { body }), 400, 'malformed-body')
    }
  })
})

t.test('a key that could set a prototype is refused, and named for what it is', async (t) => {
  const cases: Record<string, string> = {
    __proto__: `"__proto__":{"${CANARY}":1}`,
    '__proto__ in escapes': `"\\u005f_proto__":{"admin":true}`,
    '__proto__ in a nested object': `"x":[{"__proto__":null}]`,
    'constructor.prototype': `"constructor":{"prototype":{"admin":true}}`,
    'beside a number that is kept as text': `"x":[1.0,{"__proto__":1.0}]`
  }
  await eachRoute(async (route, name) => {
    for (const [what, members] of Object.entries(cases)) {
      const answer = await sendTo(route, { body: with_(route, members) })
      isProblem(t, `${name}: ${what}`, answer, 400, 'validation-failed')
      const message =
        'An object in the body has the key __proto__, or a key constructor whose value has the key prototype.'
      t.same(answer.json.errors, [{ path: '/body', code: 'forbidden-key', message }], `${name}: ${what}`)
    }
  })
})

t.test('valid JSON that the service cannot store is refused', async (t) => {
  await eachRoute(async (route, name) => {
    const deep = (open: string, close: string) => open.repeat(1_000) + close.repeat(1_000)
    const cases: [string, string][] = [
      ['1,000 arrays', deep('[', ']')],
      ['1,000 objects', `${'{"a":'.repeat(600)}1${'}'.repeat(600)}`],
      ['1,000 unclosed arrays', '['.repeat(1_000)],
      ['1,000 arrays in a property', with_(route, `"x":${deep('[', ']')}`)]
    ]
    for (const [what, body] of cases) {
      const answer = await sendTo(route, { body })
      isProblem(t, `${name}: ${what}`, answer, 400, 'validation-failed')
      t.match(answer.json?.errors, [{ code: 'too-deep' }], `${name}: ${what}`)
    }
  })
})

const stored = await newType(ann, [
  { fieldName: 'data', fieldLabel: 'Data', fieldType: 'json', secret: false },
  { fieldName: 'text', fieldLabel: 'Text', fieldType: 'text', required: false }
])
/** Returns the body to create a credential, which is valid against the schema, with `json` as a value. */
const newCredential = (json: string, name = `"${randomUUID()}"`, field = stored.field['data']) =>
  `{"credentialName":${name},"credentialTypeId":"${stored.id}",` +
  `"keys":[{"fieldId":"${field}","keyValue":${json}}]}`

t.test('strings that the service cannot store are refused anywhere in the body', async (t) => {
  const headers = { cookie: ann.cookie!, 'content-type': JSON_TYPE }
  const cases: [string, string, string, string][] = [
    ['NUL', newCredential(`"${CANARY}\\u0000"`), 'nul-character', '/body/keys/0/keyValue'],
    ['NUL in a key', newCredential(`{"${CANARY}\\u0000":1}`), 'nul-character', '/body/keys/0/keyValue'],
    ['NUL in a nested array', newCredential(`[["\\u0000"]]`), 'nul-character', '/body/keys/0/keyValue'],
    ['a high surrogate', newCredential(`"${CANARY}\\ud800"`), 'lone-surrogate', '/body/keys/0/keyValue'],
    ['a low surrogate', newCredential(`["\\udc00"]`), 'lone-surrogate', '/body/keys/0/keyValue'],
    ['a swapped pair', newCredential(`"\\udc00\\ud800"`), 'lone-surrogate', '/body/keys/0/keyValue'],
    ['a surrogate in a key', newCredential(`{"\\ud800":1}`), 'lone-surrogate', '/body/keys/0/keyValue'],
    [
      'a surrogate in a name',
      newCredential('1', `"${CANARY}\\ud800"`),
      'lone-surrogate',
      '/body/credentialName'
    ],
    [
      'a surrogate in a text field',
      newCredential(`"\\ud800"`, '"a"', stored.field['text']),
      'lone-surrogate',
      '/body/keys/0/keyValue'
    ]
  ]
  for (const [what, body, code, path] of cases) {
    const answer = await send(origin, '/api/v1/app-credentials', { method: 'POST', headers, body })
    isProblem(t, what, answer, 400, 'validation-failed')
    t.match(answer.json?.errors, [{ code, path }], `${what}: ${code}`)
  }
  await eachRoute(async (route, name) => {
    for (const more of ['"x":"\\u0000"', `"${CANARY}\\u0000":1`, '"x":"\\ud800"', '"\\ud800":1'])
      isProblem(
        t,
        `${name}: ${more}`,
        await sendTo(route, { body: with_(route, more) }),
        400,
        'validation-failed'
      )
  })
})

t.test('a body of too many values is refused before it is parsed', async (t) => {
  const headers = { cookie: ann.cookie!, 'content-type': JSON_TYPE }
  const post = (value: string) =>
    send(origin, '/api/v1/app-credentials', { method: 'POST', headers, body: newCredential(value) })
  const many = 40_001
  const values = {
    numbers: `[${'1,'.repeat(many)}1]`,
    arrays: `[${'[],'.repeat(many)}1]`,
    members: `{${Array.from({ length: many }, (_, i) => `"${i}":1`).join()}}`,
    nested: `[${'[[]],'.repeat(many / 2)}1]`,
    'no JSON': ','.repeat(many),
    'numbers that are kept as text': `[${'1.0,'.repeat(10_001)}1]`,
    'one number kept as text': `[${'1,'.repeat(10_001)}1e400]`
  }
  for (const [what, value] of Object.entries(values)) {
    const answer = await post(value)
    isProblem(t, what, answer, 400, 'validation-failed')
    t.match(answer.json?.errors, [{ code: 'too-many-values', path: '/body' }], what)
  }
  t.equal((await post(`[${'1,'.repeat(30_000)}1]`)).status, 201, 'the maximum for one value')
  t.equal((await post(`[${'1.0,'.repeat(9_980)}1]`)).status, 201)
  t.equal((await post(JSON.stringify(',[{'.repeat(15_000)))).status, 201, 'commas in strings do not count')
})

t.test('32 levels of nesting are accepted, and brackets in a string do not count', async (t) => {
  const brackets = { email: ann.person.email, password: '[{'.repeat(100) }
  t.equal((await sendTo(routes[0]!, { body: JSON.stringify(brackets) })).status, 401)
  const levels = (count: number) =>
    sendTo(routes[0]!, { body: `{"x":${'['.repeat(count - 1)}${']'.repeat(count - 1)}}` })
  t.match((await levels(32)).json.errors, [{ code: 'required' }])
  t.match((await levels(33)).json.errors, [{ code: 'too-deep' }])
})

t.test('nothing in a body is dropped or coerced', async (t) => {
  await eachRoute(async (route, name) => {
    const [first, second] = Object.keys(route.good) as [string, string]
    const cases: [string, unknown, string, string][] = [
      ['an unknown property', { ...route.good, [CANARY]: 1 }, '/body', 'unknown-property'],
      ['isAdmin', { ...route.good, role: 'admin' }, '/body', 'unknown-property'],
      ['a missing property', { [first]: CANARY }, `/body/${second}`, 'required'],
      [
        'a number for a string',
        { ...route.good, [second]: 123_456_789_012 },
        `/body/${second}`,
        'wrong-type'
      ],
      ['true for a string', { ...route.good, [second]: true }, `/body/${second}`, 'wrong-type'],
      ['null for a string', { ...route.good, [second]: null }, `/body/${second}`, 'wrong-type'],
      ['an array for a string', { ...route.good, [second]: [CANARY] }, `/body/${second}`, 'wrong-type'],
      ['an object for a string', { ...route.good, [second]: { a: CANARY } }, `/body/${second}`, 'wrong-type'],
      ['an array', [route.good], '/body', 'wrong-type'],
      ['a string', CANARY, '/body', 'wrong-type'],
      ['a number', 42, '/body', 'wrong-type'],
      ['null', null, '/body', 'wrong-type']
    ]
    for (const [what, body, path, code] of cases) {
      const answer = await sendTo(route, { body: JSON.stringify(body) })
      isProblem(t, `${name}: ${what}`, answer, 400, 'validation-failed')
      if (second === 'password' || path === '/body')
        t.match(answer.json.errors, [{ path, code }], `${name}: ${what}`)
    }
    const none = await send(origin, route.path, { method: route.method, headers: route.headers() })
    isProblem(t, `${name}: no body at all`, none, 400, 'validation-failed')
    isProblem(t, `${name}: an empty one`, await sendTo(route, { body: '' }), 400, 'validation-failed')
  })
})

t.test('a body over the limit is refused without being read completely', async (t) => {
  await eachRoute(async (route, name) => {
    const large = Buffer.from(JSON.stringify({ [CANARY]: 'x'.repeat(2 * 1024 * 1024) }))
    isProblem(t, `${name}: 2 MiB`, await sendTo(route, { body: large }), 413, 'body-too-large')
    const chunks = Array.from({ length: 32 }, (_, i) => large.subarray(i * 65_536, (i + 1) * 65_536))
    isProblem(
      t,
      `${name}: in chunks, without a length`,
      await sendTo(route, { body: chunks }),
      413,
      'body-too-large'
    )
    const { method, path } = route
    const cookie = Object.entries(route.headers()).map(([key, value]) => `${key}: ${value}\r\n`)
    const announced = await sendRawBytes(
      origin,
      `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: ${JSON_TYPE}\r\n\
${cookie.join('')}Content-Length: 1000000000000\r\n\r\n`
    )
    isProblem(t, `${name}: only announced`, announced, 413, 'body-too-large')
    t.ok(announced.closedAfterMs < 5_000, 'at once')
  })
  for (const [route, limit] of [
    [routes[0]!, 4 * 1024],
    [routes[1]!, 1024 * 1024]
  ] as const) {
    const sized = (length: number) => {
      const body = JSON.stringify({ x: '' })
      return sendTo(route, { body: body.replace('""', `"${'x'.repeat(length - body.length)}"`) })
    }
    isProblem(t, `${route.path}: at the limit`, await sized(limit), 400, 'validation-failed')
    isProblem(t, `${route.path}: over it`, await sized(limit + 1), 413, 'body-too-large')
  }
})

t.test(
  'without authentication, the service reads at most 16 KiB, on all known and unknown routes',
  async (t) => {
    const body = JSON.stringify({ x: 'x'.repeat(16 * 1024) })
    const chunks = [Buffer.from(body)]
    const token = `lk_pat_${'A'.repeat(46)}`
    for (const path of [
      '/api/v1/app-credentials',
      '/api/credentials',
      '/api/v1/nothing',
      '/nothing',
      '/docs'
    ]) {
      for (const headers of [
        {},
        { cookie: `latchkey_session=${'A'.repeat(43)}` },
        { authorization: `Bearer ${token}` }
      ]) {
        for (const sent of [body, chunks]) {
          const answer = await send(origin, path, {
            method: 'POST',
            headers: { 'content-type': JSON_TYPE, ...headers },
            body: sent
          })
          const status = path === '/docs' ? 405 : path.endsWith('nothing') ? 404 : 401
          t.ok([status, 413].includes(answer.status), `${path}: ${answer.status}`)
        }
      }
    }
  }
)

t.test('unknown, repeated and invalid query parameters are refused', async (t) => {
  const list = '/api/v1/credential-types'
  const cases: [string, string][] = [
    [`/api/v1/session?${CANARY}=1`, 'unknown-property'],
    ['/api/v1/session?__proto__=1', 'unknown-property'],
    ['/api/v1/session?constructor=1', 'unknown-property'],
    [`/livez?${CANARY}`, 'unknown-property'],
    [`${list}?${CANARY}=1`, 'unknown-property'],
    [`${list}?page=1&page=2`, 'wrong-type'],
    [`${list}?search=${CANARY}&search=b`, 'wrong-type'],
    [`${list}?page=${CANARY}`, 'wrong-type'],
    [`${list}?page=1.5`, 'wrong-type'],
    [`${list}?page=1e400`, ''],
    [`${list}?page=NaN`, 'wrong-type'],
    [`${list}?page=0`, 'out-of-range'],
    [`${list}?page=-1`, 'out-of-range'],
    [`${list}?page=99999999999999999999`, 'out-of-range'],
    [`${list}?pageSize=0`, 'out-of-range'],
    [`${list}?pageSize=101`, 'out-of-range'],
    [`${list}?search=${'x'.repeat(201)}`, 'too-long'],
    [`${list}?search=${CANARY}%00`, 'nul-character']
  ]
  for (const [path, code] of cases) {
    const answer = await send(origin, path, { headers: { cookie: ann.cookie! } })
    isProblem(t, path, answer, 400, 'validation-failed')
    if (code) t.match(answer.json?.errors, [{ code }], `${path}: ${code}`)
  }
})

t.test('a path or query string that cannot be percent-decoded is refused', async (t) => {
  const paths = [
    `/%ff${CANARY}`,
    '/api/v1/projects/%ff',
    '/api/v1/projects/%ed%a0%80',
    '/api/v1/projects/%c0%80',
    '/api/v1/projects/%',
    '/api/v1/projects/%zz',
    `/api/v1/credential-types?search=${CANARY}%ff`,
    '/api/v1/credential-types?search=%ed%a0%80',
    '/api/v1/credential-types?search=%c0%80',
    '/api/v1/credential-types?search=%',
    '/api/v1/credential-types?search=%zz',
    '/api/v1/credential-types?%ff=1'
  ]
  for (const path of paths) {
    const answer = await send(origin, path, { headers: { cookie: ann.cookie! } })
    isProblem(t, path, answer, 400, 'malformed-url')
    t.equal(answer.headers['x-content-type-options'], 'nosniff', path)
    t.equal(answer.headers['cache-control'], 'no-store', path)
  }
})

t.test('an unknown route is 404', async (t) => {
  const paths = [
    `/${CANARY}`,
    '/api',
    '/api/v1',
    '/api/v1/',
    `/api/v1/${CANARY}`,
    '/api/v1/session/',
    '/api/v1//session',
    '//api/v1/session',
    '/API/v1/session',
    '/api/v2/session',
    '/api/v1/session/../session',
    '/api/v1/session;x=1',
    '/api/v1/%73ession/x',
    `/api/v1/${CANARY}\u00e9`.replace('\u00e9', '%C3%A9'),
    '/.env',
    '/metrics/x',
    '/livez/x'
  ]
  for (const path of paths) {
    for (const method of ['GET', 'POST', 'DELETE']) {
      const answer = await send(origin, path, { method, headers: { cookie: ann.cookie! } })
      isProblem(t, `${method} ${path}`, answer, 404, 'no-such-route')
      t.equal(answer.headers['cache-control'], 'no-store', path)
    }
  }
})

t.test('a method that a route does not have is refused', async (t) => {
  for (const path of [
    '/api/v1/session',
    '/api/v1/sessions',
    '/livez',
    '/openapi.json',
    '/api/v1/credential-types'
  ]) {
    for (const method of ['TRACE', 'PATCH', 'PROPFIND', 'SEARCH', 'LOCK', 'PURGE', 'REPORT']) {
      const answer = await send(origin, path, { method, headers: { cookie: ann.cookie! } })
      isProblem(t, `${method} ${path}`, answer, 405, 'method-not-allowed')
    }
  }
  const connect = await sendRawBytes(origin, `CONNECT ${CANARY}:80 HTTP/1.1\r\nHost: x\r\n\r\n`)
  t.notOk(connect.status >= 200 && connect.status < 300, 'CONNECT')
})

t.test('headers that are too large are refused', async (t) => {
  const cases: Record<string, RawRequest> = {
    'one header': { headers: { 'x-large': CANARY.repeat(2_000) } },
    'a cookie': { headers: { cookie: `latchkey_session=${'x'.repeat(20_000)}` } },
    'many headers': {
      headers: Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`x-header-${i}`, CANARY]))
    }
  }
  for (const [name, request] of Object.entries(cases)) {
    isProblem(t, name, await send(origin, '/api/v1/session', request), 431)
  }
  const path = `/api/v1/projects/${'x'.repeat(20_000)}`
  const answer = await send(origin, path)
  t.ok([414, 431].includes(answer.status), 'a path')
  isProblem(t, 'a path', answer, answer.status)
})

t.test('an ambiguous request is refused, and its connection is closed', async (t) => {
  const head = 'POST /api/v1/session HTTP/1.1\r\n'
  const type = `Content-Type: ${JSON_TYPE}\r\n`
  const body = JSON.stringify(routes[0]!.good)
  const smuggled = `GET /api/v1/${CANARY} HTTP/1.1\r\nHost: x\r\n\r\n`
  const cases: Record<string, string> = {
    'Content-Length and Transfer-Encoding': `${head}Host: x\r\n${type}Content-Length: 5\r\n\
Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    'Transfer-Encoding and Content-Length': `${head}Host: x\r\n${type}Transfer-Encoding: chunked\r\n\
Content-Length: 5\r\n\r\n0\r\n\r\n${smuggled}`,
    'two lengths': `${head}Host: x\r\n${type}Content-Length: 5\r\nContent-Length: 6\r\n\r\n${body}`,
    'a negative length': `${head}Host: x\r\n${type}Content-Length: -5\r\n\r\n${body}`,
    'a length with a sign': `${head}Host: x\r\n${type}Content-Length: +5\r\n\r\n${body}`,
    'a chunk with a wrong size': `${head}Host: x\r\n${type}Transfer-Encoding: chunked\r\n\r\n\
${CANARY}\r\n{}\r\n0\r\n\r\n${smuggled}`,
    'a chunk longer than its size': `${head}Host: x\r\n${type}Transfer-Encoding: chunked\r\n\r\n1\r\n\
{}\r\n0\r\n\r\n${smuggled}`,
    'an unknown transfer coding': `${head}Host: x\r\n${type}Transfer-Encoding: chunked, ${CANARY}\r\n\
\r\n0\r\n\r\n`,
    'two hosts': `GET /api/v1/session HTTP/1.1\r\nHost: x\r\nHost: ${CANARY}\r\n\r\n`,
    'two equal hosts': 'GET /livez HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n',
    'a header folded over two lines': `GET /livez HTTP/1.1\r\nHost: x\r\nX-A: a\r\n ${CANARY}\r\n\r\n`,
    'a space before the colon': `GET /livez HTTP/1.1\r\nHost : x\r\n\r\n`,
    'a NUL in a header': `GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ${CANARY}\0\r\n\r\n`,
    'a line that ends in CR only': `GET /livez HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: ${CANARY}\r\n\r\n`,
    'a space in the path': `GET /livez ${CANARY} HTTP/1.1\r\nHost: x\r\n\r\n`,
    'no HTTP': `${CANARY}\r\n\r\n`,
    'HTTP/3.0': 'GET /livez HTTP/3.0\r\nHost: x\r\n\r\n',
    'an unknown method': `${CANARY.toUpperCase()} /livez HTTP/1.1\r\nHost: x\r\n\r\n`,
    TLS: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'
  }
  for (const [name, bytes] of Object.entries(cases)) {
    const answer = await sendRawBytes(origin, bytes)
    isProblem(t, name, answer, 400)
    t.ok(answer.closedAfterMs < 5_000, `${name}: closed at once`)
    t.equal(answer.all.match(/HTTP\/1\.1 /g)?.length, 1, `${name}: one response`)
  }
  const noHost = await sendRawBytes(origin, `GET /${CANARY} HTTP/1.1\r\n\r\n`)
  t.equal(noHost.status, 400, 'no host')
})

t.test('an unknown Expect header is ignored', async (t) => {
  const answer = await sendRawBytes(
    origin,
    `GET /${CANARY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: ${CANARY}\r\n\r\n`
  )
  isProblem(t, 'Expect', answer, 404)
})

t.test('a request id that is safe to log is kept, any other is replaced', async (t) => {
  const id = `Trace-1.${randomUUID()}:7_x`
  const kept = await send(origin, '/api/v1/session', { headers: { 'x-request-id': id } })
  t.equal(kept.headers['x-request-id'], id)
  t.equal(kept.json.requestId, id)
  t.ok(service.log.some((line) => JSON.parse(line).requestId === id))
  const hostile = [
    `${CANARY} with spaces`,
    'x'.repeat(1_000),
    'x'.repeat(129),
    '',
    '"},{"level":"fatal"',
    '../../etc/passwd',
    'a\tb',
    '<script>',
    `${CANARY},b`,
    'caf\u00e9'
  ]
  const seen = new Set<unknown>()
  for (const given of hostile) {
    const answer = await send(origin, '/api/v1/session', { headers: { 'x-request-id': given } })
    isProblem(t, JSON.stringify(given.slice(0, 20)), answer, 401)
    t.match(answer.headers['x-request-id'], /^[0-9a-f-]{36}$/)
    seen.add(answer.headers['x-request-id'])
  }
  t.equal(seen.size, hostile.length, 'each gets a new id')
  const two = await sendRawBytes(
    origin,
    `GET /api/v1/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: ${CANARY}\r\n\
X-Request-Id: b\r\n\r\n`
  )
  isProblem(t, 'two of them', two, 401)
  const split = await sendRawBytes(
    origin,
    `GET /api/v1/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: a\r\n\r\n\
Set-Cookie: ${CANARY}\r\n\r\n`
  )
  t.notMatch(split.all, CANARY)
})

t.test('the log contains no input, and one object per line', async (t) => {
  t.ok(service.log.length > 300, 'the requests of this file were logged')
  for (const line of service.log) {
    if (line.includes(CANARY)) t.fail(line)
    t.equal(line.indexOf('\n'), line.length - 1)
    t.type(JSON.parse(line), 'object')
  }
  t.notOk(
    service.log.some((line) => JSON.parse(line).status >= 500),
    'none was a server error'
  )
})

t.test('slow clients are disconnected, and do not delay others', async (t) => {
  const waits: number[] = []
  for (let i = 0; i < 3; i++) {
    const from = performance.now()
    t.equal((await send(origin, '/livez')).status, 200)
    waits.push(performance.now() - from)
  }
  // The shortest one, because a busy machine can delay single requests.
  t.ok(Math.min(...waits) < 1_000, 'others are served')
  for (const [name, sent] of Object.entries(slow)) {
    const answer = await sent
    t.ok(answer.closedAfterMs < 15_000, `${name}: after ${Math.round(answer.closedAfterMs)} ms`)
    if (answer.all) isProblem(t, name, answer, 408)
  }
})
