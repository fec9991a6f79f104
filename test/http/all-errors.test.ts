import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { newType } from '../helpers/fixtures.ts'
import { send } from '../helpers/raw-request.ts'

const service = await startTestApp(t)
const { admin } = service

/** Sent in every request of this file, as values and as names. Responses must not contain it. */
const CANARY = 'canary-5d1f0c'
const ID = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'

interface Refusal {
  code: string
  detail: string
  errors: { path: string; code: string; message: string }[]
}

/** Sends an invalid request. Asserts that the response is a 400 without the canary, and returns it. */
async function refused(method: string, path: string, body?: unknown, headers = {}): Promise<Refusal> {
  const answer = await admin.request(method, path, body, { headers })
  t.equal(answer.status, 400, `${method} ${path}`)
  t.notMatch(answer.text, CANARY, 'the response does not echo input')
  return answer.json
}

const messagesOf = ({ errors }: Refusal) =>
  Object.fromEntries(errors.map(({ path, message }) => [path, message]))

t.test('all errors in query, headers and body are in one response', async (t) => {
  const answer = await refused(
    'POST',
    `/api/v1/users?${CANARY}=1`,
    { email: CANARY, password: 'short', role: CANARY, [CANARY]: 1 },
    { 'idempotency-key': `${CANARY} `.repeat(2).trim() }
  )
  t.match(answer, { code: 'validation-failed', detail: 'The request is invalid; see `errors`.' })
  t.same(messagesOf(answer), {
    '/query': 'No parameters are allowed here.',
    '/headers/idempotency-key': 'This must be visible ASCII characters without spaces.',
    '/body': 'Unknown property. The known properties are: email, name, password, role.',
    '/body/email': 'This must be an e-mail address, such as name@example.org.',
    '/body/name': 'This is required.',
    '/body/password': 'This must be at least 12 characters long.',
    '/body/role': 'This must be one of: admin, user.'
  })
})

t.test('errors that schemas do not find are in one response too', async (t) => {
  const faults = async (method: string, path: string, body?: unknown) =>
    (await refused(method, path, body)).errors.map((one) => `${one.path} ${one.code}`).sort()
  for (const list of ['app-credentials', 'projects', 'users', 'credential-types']) {
    const path = `/api/v1/${list}?page=1&cursor=${CANARY}&updatedSince=1900-01-01T00:00:00Z`
    t.same(
      await faults('GET', path),
      ['/query/cursor invalid-cursor', '/query/page one-of', '/query/updatedSince out-of-range'],
      list
    )
  }
  const scopes = ['credentials:resolve', 'usages:write']
  const token = { name: CANARY, scopes, expiresAt: '2001-01-01T00:00:00Z' }
  t.same(await faults('POST', '/api/v1/access-tokens', token), [
    '/body/expiresAt out-of-range',
    '/body/scopes/0 not-allowed',
    '/body/scopes/1 not-allowed'
  ])
})

t.test('each error says what is expected', async (t) => {
  const credential = await refused('POST', '/api/v1/app-credentials', {
    credentialName: 5,
    credentialTypeId: CANARY,
    keys: [{ fieldId: 'x' }, CANARY, { fieldId: ID, keyValue: 1, value: 1 }],
    expiresAt: CANARY,
    description: ['x'],
    projectIds: 'x'
  })
  t.match(messagesOf(credential), {
    '/body/credentialName': 'This must be a string.',
    '/body/credentialTypeId': 'This must be a UUID.',
    '/body/keys/0/fieldId': 'This must be a UUID.',
    '/body/keys/0/keyValue': 'This is required.',
    '/body/keys/1': 'This must be an object.',
    '/body/keys/2': /^Unknown property. The known properties are: .*fieldId.*\.$/,
    '/body/expiresAt': 'This must be a time (RFC 3339), such as 2026-11-21T10:15:30Z.',
    '/body/description': 'This must be a string or null.',
    '/body/projectIds': 'This must be an array.'
  })
  const list = await refused('GET', `/api/v1/projects?page=0&pageSize=${CANARY}&${CANARY}=1`)
  t.match(messagesOf(list), {
    '/query': /^Unknown parameter. The known parameters are: .*page, pageSize.*\.$/,
    '/query/page': 'This must be at least 1.',
    '/query/pageSize': 'This must be a whole number.'
  })
  const type = await refused('POST', '/api/v1/credential-types', {
    typeName: 'x'.repeat(201),
    fields: [{ fieldName: 'a b', fieldLabel: '', fieldType: 'colour', options: ['a', 'a'] }]
  })
  t.match(messagesOf(type), {
    '/body/typeName': 'This must be at most 200 characters long.',
    '/body/fields/0/fieldName': 'This must be a letter, then up to 63 letters, digits and _.',
    '/body/fields/0/fieldLabel': 'This must be at least 1 character long.',
    '/body/fields/0/fieldType': /^This must be one of: text, /,
    '/body/fields/0/options': 'The items must be unique.'
  })
  const environment = await refused('PUT', `/api/v1/app-credentials/${ID}/environments/${CANARY}%20x`, {
    keys: CANARY
  })
  t.same(messagesOf(environment), {
    '/path/environment': 'This must be a lowercase letter or digit, then up to 31 of a-z, 0-9, _ and -.',
    '/body/keys': 'This must be an array.'
  })
})

t.test('numbers and strings that cannot be stored are reported with other errors', async (t) => {
  const body =
    `{"typeName":"\\u0000","fields":[{"fieldName":"a","fieldLabel":"a","fieldType":"number",` +
    `"description":"\\ud800","constraints":{"minimum":0.1234567890123456789}},{"fieldName":1}]}`
  const answer = await admin.request('POST', '/api/v1/credential-types', undefined, {
    headers: { 'content-type': 'application/json' },
    raw: body
  })
  t.equal(answer.status, 400)
  t.match(messagesOf(answer.json), {
    '/body/typeName': String,
    '/body/fields/0/description': 'A text here contains half of a surrogate pair.',
    '/body/fields/0/constraints/minimum':
      'This must be a number that a double-precision number can represent exactly.',
    '/body/fields/1/fieldName': 'This must be a string.'
  })
})

t.test('the errors of all values of a credential are reported', async (t) => {
  const stored = await newType(admin, [
    { fieldName: 'port', fieldLabel: 'Port', fieldType: 'number', secret: false },
    { fieldName: 'url', fieldLabel: 'URL', fieldType: 'url' },
    { fieldName: 'mode', fieldLabel: 'Mode', fieldType: 'select', options: ['a', 'b'], secret: false },
    { fieldName: 'token', fieldLabel: 'Token', fieldType: 'password' }
  ])
  const made = await refused('POST', '/api/v1/app-credentials', {
    credentialName: 'x',
    credentialTypeId: stored.id,
    values: { port: CANARY, url: CANARY, mode: CANARY, [CANARY]: CANARY }
  })
  t.same(made.errors.map(({ path, code }) => `${path} ${code}`).sort(), [
    '/body/values unknown-field',
    '/body/values/mode not-allowed',
    '/body/values/port wrong-type',
    '/body/values/token required',
    '/body/values/url wrong-format'
  ])
})

t.test('the errors of all fields of a type are reported', async (t) => {
  const field = (more: object) => ({ fieldName: 'a', fieldLabel: 'a', fieldType: 'text', ...more })
  const made = await refused('POST', '/api/v1/credential-types', {
    typeName: 'x',
    fields: [
      field({ pattern: '(' }),
      field({ fieldName: 'b', pattern: '[' }),
      field({}),
      field({ fieldName: 'c', options: ['x'] }),
      field({ fieldName: 'd', fieldType: 'number', pattern: 'x', constraints: { minimum: 2, maximum: 1 } })
    ]
  })
  t.same(made.errors.map(({ path, code }) => `${path} ${code}`).sort(), [
    '/body/fields/0/pattern invalid-pattern',
    '/body/fields/1/pattern invalid-pattern',
    '/body/fields/2/fieldName repeated',
    '/body/fields/3/options not-for-this-type',
    '/body/fields/4/constraints out-of-range',
    '/body/fields/4/pattern not-for-this-type'
  ])
  const defaults = await refused('POST', '/api/v1/credential-types', {
    typeName: 'x',
    fields: ['a', 'b'].map((fieldName) => field({ fieldName, fieldType: 'number', defaultValue: CANARY }))
  })
  t.same(
    defaults.errors.map(({ path, code }) => [path, code]),
    [
      ['/body/fields/0/defaultValue', 'wrong-type'],
      ['/body/fields/1/defaultValue', 'wrong-type']
    ]
  )
  const { id, field: ids } = await newType(admin, [{ fieldName: 'a', fieldLabel: 'a', fieldType: 'text' }])
  const changed = await refused('PUT', `/api/v1/credential-types/${id}`, {
    fields: [{ id: ID }, { id: ids['a'], options: ['x'] }, { fieldName: 'b' }]
  })
  t.same(
    changed.errors.map(({ path, code }) => [path, code]),
    [
      ['/body/fields/0/id', 'unknown-field'],
      ['/body/fields/2/fieldLabel', 'required'],
      ['/body/fields/2/fieldType', 'required'],
      ['/body/fields/1/options', 'not-for-this-type']
    ]
  )
})

t.test('the size of the response and the time to find errors are limited', async (t) => {
  const count = 13_000
  const many = (make: (i: number) => unknown) => Array.from({ length: count }, (_, i) => make(i))
  const good = {
    credentialName: 'x',
    credentialTypeId: ID,
    keys: [{ fieldId: ID, keyValue: many((i) => [`${i}`.padEnd(60, 'x'), i]) }]
  }
  const padded = 'x'.repeat(50)
  const bad: Record<string, [string, object]> = {
    'unknown properties': [
      '/api/v1/app-credentials',
      Object.fromEntries(Array.from({ length: 39_000 }, (_, i) => [`${CANARY}${i}`, i]))
    ],
    'unknown properties of an entry': [
      '/api/v1/app-credentials',
      { keys: [Object.fromEntries(Array.from({ length: 39_000 }, (_, i) => [`${i}`, padded.slice(0, 9)]))] }
    ],
    'bad entries': ['/api/v1/app-credentials', { ...good, keys: many((i) => ({ fieldId: padded, a: i })) }],
    'bad ids': ['/api/v1/app-credentials', { ...good, keys: [], projectIds: many(() => CANARY + padded) }],
    'bad fields': [
      '/api/v1/credential-types',
      { typeName: padded, fields: many((i) => ({ fieldName: '', b: i })) }
    ],
    'bad options of all fields': [
      '/api/v1/credential-types',
      {
        typeName: 'x',
        fields: Array.from({ length: 64 }, () => ({
          fieldName: '',
          options: Array.from({ length: 590 }, () => ({}))
        }))
      }
    ],
    'invalid patterns': [
      '/api/v1/credential-types',
      {
        typeName: 'x',
        fields: Array.from({ length: 64 }, (_, i) => ({
          fieldName: `f${i}`,
          fieldLabel: 'x',
          fieldType: 'text',
          pattern: `${'(?i)\\p{Lu}'.repeat(99)}(`
        }))
      }
    ],
    'NUL characters': ['/api/v1/app-credentials', { ...good, keys: [{ keyValue: many(() => ['\0', '\0']) }] }]
  }
  const cpuOf = async (path: string, body: object) => {
    const json = JSON.stringify(body)
    const times: number[] = []
    for (let i = 0; i < 5; i++) {
      const before = process.cpuUsage()
      const answer = await send(service.origin, path, {
        method: 'POST',
        headers: { cookie: admin.cookie!, 'content-type': 'application/json' },
        body: json
      })
      const { user, system } = process.cpuUsage(before)
      times.push((user + system) / 1000)
      t.equal(answer.status, 400)
      t.ok(answer.json.errors.length <= 50, `${answer.json.errors.length} errors`)
      t.notMatch(answer.text, CANARY)
      t.ok(answer.text.length < 20_000, `${answer.text.length} characters`)
    }
    return Math.min(...times)
  }
  // Valid against the schema; refused because there is no such type.
  const names = Object.fromEntries(Array.from({ length: 39_000 }, (_, i) => [`${CANARY}${i}`, i]))
  const named = { ...good, keys: [{ fieldId: ID, keyValue: names }] }
  const usual = Math.max(
    await cpuOf('/api/v1/app-credentials', good),
    await cpuOf('/api/v1/app-credentials', named)
  )
  t.comment(`a valid body: ${usual.toFixed(1)} ms`)
  for (const [name, [path, body]] of Object.entries(bad)) {
    const cpu = await cpuOf(path, body)
    t.comment(`${name}: ${cpu.toFixed(1)} ms`)
    t.ok(cpu < 1.5 * usual + 10, `${name}: ${cpu.toFixed(1)} ms, a valid body: ${usual.toFixed(1)} ms`)
  }
})

t.test('an unauthenticated caller does not see the errors', async (t) => {
  const answer = await service.anonymous().post('/api/v1/users?x=1', { email: 1 })
  t.match(answer.json, { status: 401, code: 'unauthenticated' })
})

t.test('the body null is refused, even if the body is optional', async (t) => {
  const isLightning = (path: string) => path.startsWith('/api/credentials')
  let count = 0
  for (const [path, operations] of Object.entries(service.contract.document.paths))
    for (const [method, operation] of Object.entries(operations)) {
      if (!('requestBody' in operation)) continue
      const url = path.replaceAll(/\{[^}]+\}/g, ID)
      const answer = await admin.request(method.toUpperCase(), url, null)
      t.equal(answer.status, isLightning(path) ? 422 : 400, `${method} ${path}`)
      count++
    }
  t.ok(count > 20, `${count} operations`)
})
