import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Answer, Client } from '../../helpers/client.ts'
import { newCredential, newType, reveal, uniqueName } from '../../helpers/fixtures.ts'

const service = await startTestApp(t)
const ann = await service.newUser()
const V1 = '/api/v1/app-credentials'
const CANARY = 'CANARY-31c9'
const type = await newType(ann)
const { json: annsType } = await ann.get(`/api/v1/credential-types/${type.id}`)
const TYPE_NAME: string = annsType.typeName
const VALUES = { host: 'mail.example.org', password: 'hunter2 hunter2' }
const BY_NAME = { credentialType: TYPE_NAME, values: VALUES }
const BY_ID = {
  credentialTypeId: type.id,
  keys: Object.entries(VALUES).map(([name, keyValue]) => ({ fieldId: type.field[name], keyValue }))
}

const create = (who: Client, body: object, options = {}) =>
  who.post(V1, { credentialName: uniqueName('by name'), ...body }, options)

function isRefused(t: Test, answer: Answer, path: string, code: string, what: string) {
  t.match(answer, { status: 400, json: { code: 'validation-failed', errors: [{ path, code }] } }, what)
  t.notMatch(answer.text, CANARY, `${what}: input is not echoed`)
}

t.test('a credential can be created by names, with the same result as by ids', async (t) => {
  const made = await create(ann, BY_NAME)
  t.equal(made.status, 201)
  t.same(await reveal(ann, made.json.id), VALUES)
  const { json: other } = await create(ann, BY_ID)
  const same = (one: Record<string, unknown>) => ({
    ...one,
    ...{ id: 0, credentialName: 0, createdAt: 0, updatedAt: 0 }
  })
  t.same(same(made.json), same(other))
  const keys = [
    { fieldName: 'host', keyValue: 'a' },
    { fieldId: type.field['password'], keyValue: 'b' }
  ]
  const mixed = await create(ann, { credentialTypeId: type.id, keys })
  t.same(
    await reveal(ann, mixed.json.id),
    { host: 'a', password: 'b' },
    'entries by name and by id can be mixed'
  )
})

t.test('type names ignore case and surrounding spaces', async (t) => {
  for (const credentialType of ['api-key', ' API-KEY ', 'Api-Key'])
    t.equal((await create(ann, { credentialType, values: { apiKey: 'k' } })).status, 201, credentialType)
  const optional = await create(ann, { credentialType: 'basic-auth', values: {} })
  t.match(optional.json, { credentialType: { typeName: 'basic-auth' } }, 'optional values can be omitted')
})

t.test('a name refers to types of the caller and of administrators, not of other users', async (t) => {
  const [bob, chief] = [await service.newUser(), await service.newUser({ role: 'admin' })]
  isRefused(t, await create(bob, BY_NAME), '/body/credentialType', 'unknown-type', "another user's")
  const unknown = await create(bob, { ...BY_NAME, credentialType: CANARY })
  isRefused(t, unknown, '/body/credentialType', 'unknown-type', 'an unknown one')
  t.equal((await create(bob, BY_ID)).status, 201, 'by its id it can be used')
  const { id } = await newType(chief)
  const { typeName } = (await bob.get(`/api/v1/credential-types/${id}`)).json
  t.equal((await create(bob, { ...BY_NAME, credentialType: typeName })).status, 201)
  t.equal((await service.admin.put(`/api/v1/users/${chief.person.id}`, { role: 'user' })).status, 200)
  const later = await create(bob, { ...BY_NAME, credentialType: typeName })
  isRefused(t, later, '/body/credentialType', 'unknown-type', 'of a former administrator')
})

t.test('invalid input is refused with its path, and is not echoed', async (t) => {
  const { keys } = BY_ID
  const cases: [what: string, body: object, path: string, code: string][] = [
    ['no type', { values: VALUES }, '/body/credentialTypeId', 'required'],
    ['two types', { ...BY_NAME, credentialTypeId: type.id }, '/body', 'one-of'],
    ['an empty type', { ...BY_NAME, credentialType: '' }, '/body/credentialType', 'too-short'],
    ['a type that is null', { ...BY_NAME, credentialType: null }, '/body/credentialType', 'wrong-type'],
    ['no values', { credentialType: TYPE_NAME }, '/body/keys', 'required'],
    ['values and keys', { ...BY_NAME, keys }, '/body', 'one-of'],
    ['values and no keys', { ...BY_NAME, keys: [] }, '/body', 'one-of'],
    ['values that are a list', { ...BY_NAME, values: [CANARY] }, '/body/values', 'wrong-type'],
    ['values that are null', { ...BY_NAME, values: null }, '/body/values', 'wrong-type'],
    ['an unknown name', { ...BY_NAME, values: { ...VALUES, [CANARY]: 1 } }, '/body/values', 'unknown-field'],
    ['another case', { ...BY_NAME, values: { ...VALUES, HOST: CANARY } }, '/body/values', 'unknown-field'],
    [
      'a property of objects',
      { ...BY_NAME, values: { ...VALUES, constructor: CANARY } },
      '/body/values',
      'unknown-field'
    ],
    [
      'a wrong value',
      { ...BY_NAME, values: { ...VALUES, host: [CANARY] } },
      '/body/values/host',
      'wrong-type'
    ],
    [
      'a long value',
      { ...BY_NAME, values: { ...VALUES, host: CANARY.repeat(8_000) } },
      '/body/values/host',
      'too-large'
    ],
    ['NUL', { ...BY_NAME, values: { host: `${CANARY}\0` } }, '/body/values', 'nul-character'],
    ['NUL in a name', { ...BY_NAME, values: { [`${CANARY}\0`]: 'x' } }, '/body/values', 'nul-character'],
    [
      'null for a required field',
      { ...BY_NAME, values: { ...VALUES, host: null } },
      '/body/values/host',
      'required'
    ],
    [
      'nothing for a required field',
      { ...BY_NAME, values: { host: 'x' } },
      '/body/values/password',
      'required'
    ],
    [
      '65 values',
      { ...BY_NAME, values: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`f${i}`, CANARY])) },
      '/body/values',
      'too-many'
    ],
    [
      'a key by id and name',
      { ...BY_ID, keys: [{ ...keys[0], fieldName: 'host' }] },
      '/body/keys/0',
      'one-of'
    ],
    [
      'a key by an unknown name',
      { ...BY_ID, keys: [...keys, { fieldName: CANARY, keyValue: CANARY }] },
      '/body/keys/2/fieldName',
      'unknown-field'
    ],
    [
      'a field by id and again by name',
      { ...BY_ID, keys: [...keys, { fieldName: 'host', keyValue: 'x' }] },
      '/body/keys/2/fieldName',
      'repeated'
    ],
    ['projects twice', { ...BY_NAME, projects: [], projectIds: [] }, '/body', 'one-of']
  ]
  const before = await ann.get(V1)
  for (const [what, body, path, code] of cases) isRefused(t, await create(ann, body), path, code, what)
  const named = '"credentialName":"x","credentialType":"api-key"'
  const twice = `{${named},"values":{"apiKey":"${CANARY}","apiKey":"b"}}`
  const headers = { 'content-type': 'application/json' }
  t.equal((await ann.post(V1, undefined, { raw: twice, headers })).status, 400, 'a repeated name')
  t.equal((await ann.get(V1)).json.total, before.json.total, 'nothing was created')
})

t.test('the error for an unknown name lists the known ones, together with all other errors', async (t) => {
  const answer = await create(ann, { credentialType: TYPE_NAME, values: { [CANARY]: 1, other: 2, note: 3 } })
  t.notMatch(answer.text, CANARY)
  t.same(
    answer.json.errors.map(({ path, code }: { path: string; code: string }) => [path, code]),
    [
      ['/body/values', 'unknown-field'],
      ['/body/values/note', 'wrong-type'],
      ['/body/values/host', 'required'],
      ['/body/values/password', 'required']
    ]
  )
  t.match(answer.json.errors[0].message, 'host, password, note')
})

t.test('errors in names, projects, values and times are returned together', async (t) => {
  const body = {
    ...{ credentialType: 'api-key', credentialTypeId: type.id, values: {}, keys: [] },
    ...{ projects: ['A', ' a'], expiresAt: '1969-01-01T00:00:00Z' }
  }
  const { json } = await create(ann, body)
  const [both, repeated] = [
    { path: '/body', code: 'one-of' },
    { path: '/body/projects', code: 'repeated' }
  ]
  t.match(json.errors, [both, both, repeated, { path: '/body/expiresAt' }])
  t.equal(json.errors.length, 4)
  const keys = [{ keyValue: 1 }, { fieldId: type.field['host'], fieldName: 'host', keyValue: 'h' }]
  const { json: entries } = await create(ann, { credentialTypeId: type.id, keys })
  t.match(entries.errors, [{ path: '/body/keys/0/fieldId' }, { path: '/body/keys/1', code: 'one-of' }])
})

t.test('a type of a deleted user cannot be used by name until an administrator edits it', async (t) => {
  const [mal, bob] = [await service.newUser(), await service.newUser()]
  const { id } = await newType(mal)
  const typeOf = async () => (await service.admin.get(`/api/v1/credential-types/${id}`)).json
  const { typeName } = await typeOf()
  t.equal((await service.admin.delete(`/api/v1/users/${mal.person.id}`)).status, 200)
  t.equal((await typeOf()).ownerId, service.admin.person.id)
  for (const who of [bob, service.admin]) {
    const refused = await create(who, { credentialType: typeName, values: VALUES })
    isRefused(t, refused, '/body/credentialType', 'unknown-type', 'not edited by an administrator yet')
  }
  const claimed = await service.admin.put(`/api/v1/credential-types/${id}`, { description: 'Looked at' })
  t.equal(claimed.status, 200)
  t.equal((await create(bob, { credentialType: typeName, values: VALUES })).status, 201)
})

t.test('values keep the text of their numbers', async (t) => {
  const field = (fieldName: string, fieldType: string) => ({
    fieldName,
    fieldLabel: 'x',
    fieldType,
    secret: false
  })
  const made = await newType(ann, [field('number', 'number'), field('data', 'json')])
  const raw = `{"credentialName":"${uniqueName('numbers')}","credentialTypeId":"${made.id}",
    "values":{"number":9007199254740993,"data":{"a":[1.00,-0,1e400]}}}`
  const headers = { 'content-type': 'application/json' }
  const answer = await ann.post(V1, undefined, { raw, headers })
  t.match(answer.text, '"keyValue":9007199254740993')
  t.match(answer.text, '"keyValue":{"a":[1.00,-0,1e400]}')
  const { id } = await newType(ann, [field('rawJSON', 'text')])
  const trick = `{"credentialName":"x","credentialTypeId":"${id}","values":1.00}`
  isRefused(
    t,
    await ann.post(V1, undefined, { raw: trick, headers }),
    '/body/values',
    'wrong-type',
    'a number'
  )
})

t.test('updates and environments accept values as well as keys', async (t) => {
  const { id } = await newCredential(ann, type)
  const path = `${V1}/${id}`
  const changed = await ann.put(path, { values: { host: 'smtp.example.org', note: 'x', password: '' } })
  t.equal(changed.json.revision, 2)
  t.same(await reveal(ann, id), { ...VALUES, host: 'smtp.example.org', note: 'x' }, '"" keeps a secret')
  t.equal((await ann.put(path, { values: { note: null } })).status, 200)
  t.same(await reveal(ann, id), { ...VALUES, host: 'smtp.example.org' }, 'null clears a value')
  t.equal((await ann.put(path, { values: {} })).json.revision, 3, 'an empty object changes nothing')
  isRefused(
    t,
    await ann.put(path, { values: { host: null } }),
    '/body/values/host',
    'required',
    'a required value'
  )
  isRefused(t, await ann.put(path, { values: {}, keys: [] }), '/body', 'one-of', 'both')
  isRefused(t, await ann.put(path, { values: { [CANARY]: 1 } }), '/body/values', 'unknown-field', 'unknown')
  const large = Object.fromEntries(['host', 'password', 'note'].map((name) => [name, 'x'.repeat(65_536)]))
  t.equal((await ann.put(path, { values: large })).status, 200)

  const staging = `${path}/environments/staging`
  isRefused(t, await ann.put(staging, {}), '/body/keys', 'required', 'neither')
  isRefused(t, await ann.put(staging, { values: {} }), '/body/values/host', 'required', 'an empty one')
  t.match((await ann.put(staging, { values: VALUES })).json.environments, ['main', 'staging'])
  const shown = await ann.post(`${path}/reveal`, { environment: 'staging', fieldNames: ['password'] })
  t.match(shown.json.keys, [{ fieldName: 'password', keyValue: VALUES.password }])

  const { data } = (await ann.get(`/api/v1/audit-events?credentialId=${id}&action=credential.updated`)).json
  t.same(
    data.map((event: { details: { changed: string[] } }) => event.details.changed),
    new Array(data.length).fill(['keys']),
    'the audit log uses the same word for both'
  )
})

t.test('a reveal can select fields by name', async (t) => {
  const { id } = await newCredential(ann, type)
  const path = `${V1}/${id}/reveal`
  const shown = await ann.post(path, { fieldNames: ['password', 'host'] })
  t.same(
    shown.json.keys.map((key: { fieldName: string }) => key.fieldName),
    ['host', 'password']
  )
  t.same((await ann.post(path, { fieldNames: ['note'] })).json.keys, [], 'a field without a value')
  t.same((await ann.post(path, { fieldNames: [] })).json.keys, [])
  const unknown = await ann.post(path, { fieldNames: ['host', CANARY] })
  isRefused(t, unknown, '/body/fieldNames/1', 'unknown-field', 'unknown')
  t.match(unknown.json.errors[0].message, 'host, password, note')
  isRefused(
    t,
    await ann.post(path, { fieldNames: ['host', 'host'] }),
    '/body/fieldNames/1',
    'repeated',
    'twice'
  )
  isRefused(t, await ann.post(path, { fieldNames: [], fieldIds: [] }), '/body', 'one-of', 'both')
})

t.test('retries with one Idempotency-Key create one credential', async (t) => {
  const headers = { 'idempotency-key': randomUUID() }
  const body = { credentialName: uniqueName('retry'), ...BY_NAME }
  const answers = await Promise.all([1, 2, 3, 4].map(() => ann.post(V1, body, { headers })))
  t.same(new Set(answers.map(({ text }) => text)).size, 1)
  t.equal(answers.filter((one) => one.headers.get('idempotency-replayed') === 'true').length, 3)
  const other = await ann.post(V1, { ...body, values: { ...VALUES, host: 'x' } }, { headers })
  t.match(other.json, { code: 'idempotency-key-reused' })
})
