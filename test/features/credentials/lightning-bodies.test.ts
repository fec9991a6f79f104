import assert from 'node:assert/strict'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { catalogue } from '../../../src/features/credential-types/catalogue.ts'
import { type AdaptorSchema, adaptorSchemas } from '../../helpers/adaptor-schemas.ts'
import { startTestApp } from '../../helpers/app.ts'
import type { Client } from '../../helpers/client.ts'
import { addMember, newProject, newType, reveal, uniqueName } from '../../helpers/fixtures.ts'

const path = '/api/credentials'
const v1 = '/api/v1/app-credentials'

type Body = Record<string, unknown>

const TYPES = new Map(catalogue.map(({ typeName, fields }) => [typeName, fields]))

/** Creates a project with a token. `create` links a new credential to it, `resolve` reads its body. */
async function runner(ann: Client) {
  const project = await newProject(ann)
  const made = await ann.post('/api/v1/access-tokens', {
    name: 'Runner',
    projectId: project,
    scopes: ['credentials:resolve']
  })
  const machine = ann.other()
  machine.bearer = made.json.token
  const create = (body: object) =>
    ann.post(path, { name: uniqueName('c'), project_credentials: [{ project_id: project }], ...body })
  async function resolve(id: string) {
    const answer = await machine.post(`/api/v1/projects/${project}/resolve`, { credentials: [{ id }] })
    const [{ typeName, values }] = answer.json.results
    return typeName === 'raw' ? values.body : values
  }
  return { project, create, resolve }
}

/** Returns the body with strings cast for the number and boolean fields of the built-in type. */
function cast(name: string, body: Body): Body {
  const kinds = new Map(TYPES.get(name)?.map(({ fieldName, fieldType }) => [fieldName, fieldType]))
  return Object.fromEntries(
    Object.entries(body).map(([key, value]) => {
      const isCast = typeof value === 'string' && value !== '' && /number|boolean/.test(kinds.get(key) ?? '')
      return [key, isCast ? JSON.parse(value) : value]
    })
  )
}

/** Returns variants of the body that Lightning accepts for the schema. */
function variantsOf({ required, nullable = [], body }: AdaptorSchema): Record<string, Body> {
  const changed = (change: (name: string, value: unknown) => unknown) =>
    Object.fromEntries(Object.entries(body).map(([name, value]) => [name, change(name, value)]))
  return {
    unchanged: body,
    'with only required properties': Object.fromEntries(
      Object.entries(body).filter(([name]) => required.includes(name))
    ),
    'with null': changed((name, value) =>
      nullable.includes(name) && !required.includes(name) ? null : value
    ),
    'with optional properties empty': changed((name, value) => (required.includes(name) ? value : '')),
    'with strings for numbers and booleans': changed((_, value) =>
      typeof value === 'number' || typeof value === 'boolean' ? String(value) : value
    ),
    'with more properties': { ...body, extra: { a: [1, null] }, 'x-more': '', schema: 'public', other: false }
  }
}

t.test('a body for each OpenFn adaptor is accepted, and resolved as it was sent', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const { create, resolve } = await runner(ann)
  t.equal(adaptorSchemas.length, 107)
  for (const schema of adaptorSchemas) {
    const { name } = schema
    const variants = TYPES.has(name) ? variantsOf(schema) : { unchanged: schema.body }
    for (const [variant, body] of Object.entries(variants)) {
      const made = await create({ schema: name, body })
      t.equal(made.status, 201, `${name} ${variant}: ${made.text}`)
      if (made.status !== 201) continue
      const { credential } = made.json
      t.equal(credential.schema, name)
      t.same(credential.body, cast(name, body), `${name} ${variant}: the response`)
      t.same(await resolve(credential.id), credential.body, `${name} ${variant}: resolved`)
    }
  }
  const { credentials } = (await ann.get(path)).json
  t.same(
    [...new Set(credentials.map((one: { schema: string }) => one.schema))].sort(),
    adaptorSchemas.map(({ name }) => name).sort(),
    'the list contains each schema'
  )
})

t.test('bodies of Lightning', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const { project, create, resolve } = await runner(ann)

  const database = { host: 'db', database: 'd', user: 'u', password: 'p' }
  const taken: [string, string, Body, Body?][] = [
    ['no default is added', 'postgresql', database],
    ['no default of redis', 'redis', { host: 'h' }],
    [
      'strings are cast',
      'postgresql',
      { ...database, port: '5433', ssl: 'true', allowSelfSignedCert: 'false' },
      { ...database, port: 5433, ssl: true, allowSelfSignedCert: false }
    ],
    ['strings are cast as in Ecto', 'mysql', { ...database, ssl: '0' }, { ...database, ssl: false }],
    ['zero and false are values', 'redis', { host: 'h', database: 0, tls: false }],
    ['invalid values are kept', 'http', { baseUrl: 'example.org/path', username: 5, tls: 'none' }],
    ['null is kept', 'dhis2', { hostUrl: 'https://play.dhis2.org', apiVersion: null, pat: '' }],
    ['a number may be empty', 'postgresql', { ...database, port: '', ssl: null }],
    ['an unknown option is kept', 'mongodb', { clusterHostname: 'h', protocol: 'other', options: 'a=b' }],
    ['user information in an address is kept', 'http', { baseUrl: 'https://u:p@example.org' }],
    [
      'a token as the provider sent it',
      'oauth',
      { access_token: 'a', expires_in: 3599, scopes: ['a', 'b'], expires_at: '1767225600' }
    ],
    ['names of Object.prototype', 'http', { constructor: 'a', toString: 'b', hasOwnProperty: 1 }],
    ['the name of the field itself', 'stripe', { apiKey: 'k', extra: 'text' }],
    ['only additional properties', 'oauth', { sandbox: true }],
    ['an empty body', 'http', {}]
  ]
  for (const [name, schema, body, expected = body] of taken) {
    t.test(name, async (t) => {
      const made = await create({ schema, body })
      t.equal(made.status, 201, made.text)
      t.same(made.json.credential.body, expected)
      t.same(await resolve(made.json.credential.id), expected)
    })
  }

  t.test('a value that does not fit its field is refused', async (t) => {
    const cases: [string, string, Body, RegExp][] = [
      ['not a number', 'postgresql', { ...database, port: '5432a' }, /^port: This must be a number/],
      ['a hexadecimal number', 'postgresql', { ...database, port: '0x15' }, /^port: /],
      ['white space', 'postgresql', { ...database, port: ' ' }, /^port: /],
      ['Infinity', 'postgresql', { ...database, port: 'Infinity' }, /^port: /],
      ['not a boolean', 'postgresql', { ...database, ssl: 'yes' }, /^ssl: This must be true or false/],
      ['an object for a boolean', 'postgresql', { ...database, ssl: { ca: 'x' } }, /^ssl: /],
      ['a required value empty', 'postgresql', { ...database, host: '' }, /^host can't be blank/],
      ['a required value null', 'dhis2', { hostUrl: null }, /^hostUrl can't be blank/],
      ['a required value missing', 'redis', { password: 'p' }, /^host can't be blank/],
      ['a required value of another type', 'twilio', { accountSid: 5 }, /^accountSid: /],
      ['more than 64 KiB', 'http', { more: 'x'.repeat(66_000) }, /64 KiB/]
    ]
    for (const [name, schema, body, message] of cases) {
      const answer = await create({ schema, body })
      t.equal(answer.status, 422, `${name}: ${answer.text}`)
      t.match(answer.json.errors?.body?.[0], message, name)
    }
  })

  t.test('a string with a number is cast exactly, or refused', async (t) => {
    const type = await newType(ann, [{ fieldName: 'n', fieldLabel: 'N', fieldType: 'number' }])
    const { typeName } = (await ann.get(`/api/v1/credential-types/${type.id}`)).json
    for (const digits of [
      '9007199254740993',
      '0.1234567890123456789',
      '1.50',
      '-0',
      '1e-400',
      '007',
      '+5',
      ''
    ]) {
      const made = await create({ schema: typeName, body: { n: digits } })
      if (made.status === 422) continue
      t.equal(made.status, 201, digits)
      t.match(made.text, `"body":{"n":${digits}}`, digits)
      t.match((await ann.post(`${v1}/${made.json.credential.id}/reveal`, {})).text, `"keyValue":${digits}`)
    }
    for (const digits of ['5432', '-1', '0.5', '9007199254740991']) {
      const made = await create({ schema: typeName, body: { n: digits } })
      t.same(made.json.credential?.body, { n: Number(digits) }, digits)
    }
  })

  t.test('any body of a type that Lightning also has is read as it was sent', async (t) => {
    const names = fc.oneof(
      fc.constantFrom('user', 'password', 'ca', 'extra', 'schema', 'body', 'constructor', ''),
      fc.string({ unit: 'grapheme', maxLength: 20 }).filter((name) => name !== '__proto__')
    )
    const taken = new Set(['host', 'database', 'port', 'ssl', 'allowSelfSignedCert'])
    const bodies = fc
      .dictionary(names, fc.jsonValue({ maxDepth: 4, stringUnit: 'grapheme' }), { maxKeys: 8 })
      .map((more) => Object.entries(more).filter(([name]) => !taken.has(name)))
      .map((more) => JSON.parse(JSON.stringify({ ...Object.fromEntries(more), host: 'h', database: 'd' })))
      // The service refuses this key.
      .filter((body) => !JSON.stringify(body).includes('"__proto__":'))
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        const made = await create({ schema: 'postgresql', body })
        assert.equal(made.status, 201, made.text)
        assert.deepEqual(made.json.credential.body, body)
        assert.deepEqual(await resolve(made.json.credential.id), body)
      }),
      { numRuns: 60 }
    )
    t.pass('60 bodies')
  })

  t.test("for a user's type, null, and an empty string for a number, are no values", async (t) => {
    const type = await newType(ann, [
      { fieldName: 'host', fieldLabel: 'Host', fieldType: 'text' },
      { fieldName: 'port', fieldLabel: 'Port', fieldType: 'number', required: false, defaultValue: 25 },
      { fieldName: 'note', fieldLabel: 'Note', fieldType: 'text', required: false }
    ])
    const { typeName } = (await ann.get(`/api/v1/credential-types/${type.id}`)).json
    const made = await create({ schema: typeName, body: { host: 'h', port: '', note: null } })
    t.same(made.json.credential.body, { host: 'h' }, 'the response has the stored body')
    t.same(await resolve(made.json.credential.id), { host: 'h' })
  })

  t.test('each environment has its own body', async (t) => {
    const made = await create({
      schema: 'postgresql',
      credential_bodies: [
        { name: 'main', body: { ...database, port: '1', ca: 'main' } },
        { name: 'staging', body: { ...database, port: '2', search_path: 'x' } }
      ]
    })
    t.same(made.json.credential.body, { ...database, port: 1, ca: 'main' })
    const staging = await ann.post(`${v1}/${made.json.credential.id}/reveal`, { environment: 'staging' })
    const keys = Object.fromEntries(
      staging.json.keys.map((key: { fieldName: string; keyValue: unknown }) => [key.fieldName, key.keyValue])
    )
    t.same(keys, { ...database, port: 2, extra: { search_path: 'x' } })
  })

  t.test('a retry gets the first response', async (t) => {
    const headers = { 'idempotency-key': 'cast' }
    const body = { ...database, port: '5432', more: { a: null } }
    const request = { name: 'Once', schema: 'postgresql', body }
    const first = await ann.post(path, request, { headers })
    const again = await ann.post(path, request, { headers })
    t.equal(again.headers.get('idempotency-replayed'), 'true')
    t.same(again.json, first.json)
    t.equal(first.json.credential.body.port, 5432)
  })

  t.test('a field that is set later overrides an additional property of the same name', async (t) => {
    const made = await create({ schema: 'http', body: { baseUrl: 'no URL', more: 1 } })
    const { id } = made.json.credential
    const before = (await ann.get(`${v1}/${id}`)).json
    const fieldOf = (name: string) =>
      before.keys.find((key: { fieldName: string }) => key.fieldName === name).fieldId
    t.notOk(
      before.keys.some((key: object) => 'keyValue' in key),
      'additional properties are not shown'
    )
    const keys = [{ fieldId: fieldOf('baseUrl'), keyValue: 'https://example.org' }]
    t.equal((await ann.put(`${v1}/${id}`, { keys })).status, 200)
    t.same(await resolve(id), { baseUrl: 'https://example.org', more: 1 })
    const list = { keys: [{ fieldId: fieldOf('extra'), keyValue: [1, 2] }] }
    t.equal((await ann.put(`${v1}/${id}`, list)).status, 400, 'additional properties must be an object')
  })

  t.test("a field `extra` of a user's type is a normal field", async (t) => {
    const type = await newType(ann, [{ fieldName: 'extra', fieldLabel: 'Extra', fieldType: 'json' }])
    const { typeName } = (await ann.get(`/api/v1/credential-types/${type.id}`)).json
    const made = await create({ schema: typeName, body: { extra: { a: 1 } } })
    t.same(await resolve(made.json.credential.id), { extra: { a: 1 } })
    const refused = await create({ schema: typeName, body: { extra: { a: 1 }, more: 1 } })
    t.match(refused.json.errors.body, [/not a field/])
  })

  t.test('an unknown schema is stored, and shown with the credential', async (t) => {
    const bob = await service.newUser()
    await addMember(ann, project, bob, 'editor')
    const made = await create({ name: 'CRM', schema: ' salesforce_oauth ', body: { a: 1 } })
    t.equal(made.status, 201, made.text)
    const { id, schema } = made.json.credential
    t.equal(schema, 'salesforce_oauth')
    const shownTo = async (t: Test, viewer: Client, list: string) => {
      const { credentials } = (await viewer.get(list)).json
      t.equal(credentials.find((one: { id: string }) => one.id === id)?.schema, 'salesforce_oauth', list)
    }
    await shownTo(t, ann, path)
    await shownTo(t, ann, `/api/projects/${project}/credentials`)
    const there = { credentialType: { typeName: 'raw' }, lightningSchema: 'salesforce_oauth' }
    t.match((await ann.get(`${v1}/${id}`)).json, there)
    t.match((await ann.put(`${v1}/${id}`, { description: 'changed' })).json, there)
    const items = (await ann.get(`${v1}?search=CRM`)).json.data
    t.match(items, [there])
    const transferred = await ann.post(`${v1}/${id}/transfer`, { email: bob.person.email })
    t.equal(transferred.status, 200, transferred.text)
    t.match((await bob.get(`${v1}/${id}`)).json, there)
    await shownTo(t, bob, path)

    for (const name of ['raw', 'RAW', ' raw ', '', null, undefined]) {
      const plain = await create({ schema: name, body: {} })
      t.equal(plain.json.credential?.schema, 'raw', String(name))
      t.notMatch((await ann.get(`${v1}/${plain.json.credential.id}`)).json, { lightningSchema: String })
    }
    for (const name of [5, true, ['raw'], {}, 'a\nb', 'x'.repeat(201)]) {
      const refused = await create({ schema: name, body: {} })
      t.equal(refused.status, 422, String(name))
      t.match(refused.json.errors.schema, ['is invalid'])
    }
    t.equal((await create({ schema: 'x'.repeat(200), body: {} })).status, 201)
  })

  t.test('a credential that is created with v1 has no Lightning schema', async (t) => {
    const raw = catalogue.find(({ typeName }) => typeName === 'raw')!
    const made = await ann.post(v1, {
      credentialName: uniqueName('v1'),
      credentialTypeId: raw.id,
      keys: [{ fieldId: raw.fields[0]!.id, keyValue: {} }]
    })
    t.notOk('lightningSchema' in made.json)
    t.same(await reveal(ann, made.json.id), { body: {} })
  })
})

t.test('empty path segments are ignored, as in Lightning', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const project = await newProject(ann)
  // Not by Client, which checks responses against the document: it does not have these paths.
  async function send(method: string, url: string, body?: object) {
    const headers = { cookie: ann.cookie!, ...(body && { 'content-type': 'application/json' }) }
    const response = await fetch(ann.origin + url, {
      method,
      headers,
      body: body ? JSON.stringify(body) : null
    })
    const text = await response.text()
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      json: text && JSON.parse(text)
    }
  }
  for (const url of [
    '/api/credentials/',
    '//api/credentials',
    '/api//credentials',
    '//api///credentials//'
  ]) {
    const made = await send('POST', url, { name: uniqueName('c'), body: { a: 1 } })
    t.equal(made.status, 201, `POST ${url}`)
    const list = await send('GET', url)
    t.equal(list.json.credentials?.length, 1, `GET ${url}`)
    t.same(
      (await send('GET', `${url}?project_id=${project}`)).json.credentials,
      [],
      `GET ${url}?project_id=…`
    )
    t.equal((await service.anonymous().get(url)).status, 401, `${url}, unauthenticated`)
    t.equal((await send('DELETE', `/api//credentials/${made.json.credential.id}/`)).status, 204)
  }
  t.equal((await send('GET', `/api/projects//${project}/credentials/`)).status, 200)
  t.equal((await send('GET', '/api/credentials?project_id=//')).status, 404, 'the query is not changed')

  for (const url of ['/api/credentials/a/b', '//api/projects/x', '/api/projects', '/api/credentials/%zz']) {
    const answer = await send('GET', url)
    t.match(answer.type, /^application\/json/, url)
    t.same(answer.json, { error: url.endsWith('%zz') ? 'Bad Request' : 'Not Found' }, url)
  }
  // The log and the audit event contain the path without empty segments.
  const bob = await service.newUser()
  const { id } = (await send('POST', '/api/credentials', { name: uniqueName('c'), body: {} })).json.credential
  t.equal((await bob.delete(`//api//credentials/${id}/`)).status, 403)
  const { data } = (await ann.get(`/api/v1/audit-events?credentialId=${id}&outcome=denied`)).json
  t.match(data, [{ actor: { id: bob.person.id }, target: { type: 'credential', id } }])
  t.match(service.log.join(''), `"method":"DELETE","route":"/api/credentials/:id","status":403`)

  const problems = ['/api/v1', '/api/v1/', '/api/v1/nothing', '/api//v1/projects', '/api/v1/projects/']
  for (const url of [
    ...problems,
    '//api/v1/session',
    '/api',
    '/api/nothing',
    '/nothing',
    '/apis',
    '/API/credentials'
  ]) {
    const answer = await send('GET', url)
    t.equal(answer.status, 404, url)
    t.equal(answer.json.code, 'no-such-route', url)
  }
})
