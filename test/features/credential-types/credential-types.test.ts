import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { createDatabase, type Database } from '../../../src/db/database.ts'
import { catalogue } from '../../../src/features/credential-types/catalogue.ts'
import { findTypeByName, findTypeWithFields } from '../../../src/features/credential-types/repository.ts'
import { startTestApp } from '../../helpers/app.ts'
import type { Answer, Client } from '../../helpers/client.ts'

const TYPES = '/api/v1/credential-types'
const UNKNOWN = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'

const text = (fieldName: string, rest: object = {}) => ({
  fieldName,
  fieldLabel: `The ${fieldName}`,
  fieldType: 'text',
  ...rest
})

// Shared by all tests, which create their own types.
const service = await startTestApp(t)

let made = 0
/** Creates a credential type of the caller with a unique name. */
async function newType(caller: Client, fields: object[] = [text('token')], rest: object = {}) {
  const answer = await caller.post(TYPES, { typeName: `Type ${++made}`, fields, ...rest })
  if (answer.status !== 201) throw new Error(answer.text)
  return answer.json
}

/** Inserts a credential into the database, with dummy bytes as the values of these fields. */
async function newCredential(db: Database, ownerId: string, typeId: string, fieldIds: string[]) {
  const id = randomUUID()
  const key = { environment: 'main', value: Buffer.from('sealed'), data_key_no: 1 }
  const row = { id, owner_id: ownerId, type_id: typeId, name: id, name_key: id }
  await db.insertInto('credentials').values(row).execute()
  await db.insertInto('credential_environments').values({ credential_id: id, name: 'main' }).execute()
  for (const field_id of fieldIds) {
    await db
      .insertInto('credential_keys')
      .values({ ...key, credential_id: id, field_id })
      .execute()
  }
  return id
}

const refusal = ({ status, json }: Answer) => ({ status, code: json.code, errors: json.errors })
const invalid = (path: string, code: string) => ({
  status: 400,
  code: 'validation-failed',
  errors: [{ path, code }]
})

t.test('a type is created, read, changed and deleted by its owner', async (t) => {
  const ann = await service.newUser()
  const answer = await ann.post(TYPES, {
    typeName: 'Weather',
    description: 'For the nightly report',
    fields: [
      text('host', {
        secret: false,
        defaultValue: 'api.example.org',
        pattern: '^[a-z.]+$',
        description: 'No port'
      }),
      { fieldName: 'apiKey', fieldLabel: 'API key', fieldType: 'password' },
      {
        fieldName: 'region',
        fieldLabel: 'Region',
        fieldType: 'select',
        options: ['eu', 'us'],
        required: false
      }
    ]
  })
  t.equal(answer.status, 201)
  const type = answer.json
  t.equal(answer.headers.get('location'), `${TYPES}/${type.id}`)
  t.match(type, {
    typeName: 'Weather',
    description: 'For the nightly report',
    builtIn: false,
    ownerId: ann.person.id,
    usageCount: 0
  })
  t.strictSame(
    type.fields.map(({ id: _, ...rest }: { id: string }) => rest),
    [
      {
        fieldName: 'host',
        fieldLabel: 'The host',
        fieldType: 'text',
        required: true,
        secret: false,
        description: 'No port',
        defaultValue: 'api.example.org',
        pattern: '^[a-z.]+$',
        position: 0
      },
      {
        fieldName: 'apiKey',
        fieldLabel: 'API key',
        fieldType: 'password',
        required: true,
        secret: true,
        position: 1
      },
      {
        fieldName: 'region',
        fieldLabel: 'Region',
        fieldType: 'select',
        required: false,
        secret: false,
        options: ['eu', 'us'],
        position: 2
      }
    ]
  )
  t.strictSame((await ann.get(`${TYPES}/${type.id}`)).json, type)
  t.strictSame((await (await service.newUser()).get(`${TYPES}/${type.id}`)).json, type, 'other users see it')

  const renamed = await ann.put(`${TYPES}/${type.id}`, { typeName: 'Climate', description: null })
  t.equal(renamed.status, 200)
  t.match(renamed.json, {
    typeName: 'Climate',
    description: null,
    fields: type.fields,
    createdAt: type.createdAt
  })
  t.ok(renamed.json.updatedAt > type.updatedAt)
  t.strictSame(
    (await ann.put(`${TYPES}/${type.id}`, {})).json,
    renamed.json,
    'an empty update changes nothing'
  )

  t.strictSame((await ann.delete(`${TYPES}/${type.id}`)).json, { success: true })
  t.equal((await ann.get(`${TYPES}/${type.id}`)).status, 404)
  t.equal((await ann.delete(`${TYPES}/${type.id}`)).status, 404)
})

t.test('fields are required by default, and secret depending on their type', async (t) => {
  const options = ['a']
  const secret = { text: true, password: true, multiline: true, json: true }
  const shown = { number: false, boolean: false, select: false, url: false, email: false }
  for (const [fieldType, expected] of Object.entries({ ...secret, ...shown })) {
    const field = { fieldName: 'x', fieldLabel: 'X', fieldType, ...(fieldType === 'select' && { options }) }
    const type = await newType(service.admin, [field])
    t.match(type.fields, [{ fieldType, required: true, secret: expected }], fieldType)
    const said = await newType(service.admin, [{ ...field, secret: !expected, required: false }])
    t.match(said.fields, [{ required: false, secret: !expected }], `${fieldType}, if it is specified`)
  }
})

t.test('null means that a property is absent', async (t) => {
  const none = { description: null, defaultValue: null, options: null, pattern: null }
  const type = await newType(service.admin, [text('a', none)], { description: null })
  t.strictSame(Object.keys(type.fields[0]), [
    'id',
    'fieldName',
    'fieldLabel',
    'fieldType',
    'required',
    'secret',
    'position'
  ])
})

t.test('the list shows all types to every user, newest first', async (t) => {
  const service = await startTestApp(t)
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const first = await newType(ann, [text('a'), text('b')], { typeName: '50% of a_b\\c' })
  const second = await newType(bob, [text('c')], { typeName: 'Fifty' })
  await newCredential(service.db, ann.person.id, first.id, [first.fields[0].id])
  const { json } = await ann.get(TYPES)
  t.equal(json.total, catalogue.length + 2)
  t.match(json, { page: 1, pageSize: 20 })
  t.equal(json.data.length, 20)
  t.strictSame(json.data.slice(0, 2), [second, { ...first, usageCount: 1 }], 'each type has its fields')

  const all = await ann.get(`${TYPES}?pageSize=100`)
  const ids = all.json.data.map((type: { id: string }) => type.id)
  t.equal(new Set(ids).size, catalogue.length + 2)
  const pages = await Promise.all([1, 2, 3, 4, 5].map((page) => ann.get(`${TYPES}?pageSize=7&page=${page}`)))
  t.strictSame(
    pages.flatMap(({ json }) => json.data.map((type: { id: string }) => type.id)),
    ids,
    'pages have the same order'
  )
  t.match((await ann.get(`${TYPES}?page=1000000000&pageSize=100`)).json, { data: [], total: ids.length })

  for (const [search, found] of [
    ['fIfT', ['Fifty']],
    ['50%', ['50% of a_b\\c']],
    ['A_B', ['50% of a_b\\c']],
    ['b\\c', ['50% of a_b\\c']],
    ['%', ['50% of a_b\\c']],
    ['nothing', []]
  ] as const) {
    const { json } = await ann.get(`${TYPES}?search=${encodeURIComponent(search)}`)
    t.strictSame(
      json.data.map((type: { typeName: string }) => type.typeName),
      found,
      search
    )
    t.equal(json.total, found.length)
  }
  t.match((await ann.get(`${TYPES}?search=postgres`)).json.data, [{ builtIn: true, ownerId: null }])
})

t.test('invalid input is refused with its path', async (t) => {
  const { admin } = service
  const before = (await admin.get(TYPES)).json.total
  const field = text('a')
  const select = { ...field, fieldType: 'select', options: ['a', 'b'] }
  const shown = { ...field, secret: false }
  const cases: [string, object, string, string][] = [
    ['no name', { fields: [field] }, '/body/typeName', 'required'],
    ['blank name', { typeName: ' ', fields: [field] }, '/body/typeName', 'wrong-form'],
    ['long name', { typeName: 'x'.repeat(201), fields: [field] }, '/body/typeName', 'too-long'],
    ['no fields', { typeName: 'T' }, '/body/fields', 'required'],
    ['empty fields', { typeName: 'T', fields: [] }, '/body/fields', 'too-few'],
    [
      '65 fields',
      { typeName: 'T', fields: Array.from({ length: 65 }, (_, i) => text(`f${i}`)) },
      '/body/fields',
      'too-many'
    ],
    ['unknown property', { typeName: 'T', fields: [field], builtIn: true }, '/body', 'unknown-property']
  ]
  const ofField: [string, object, string, string][] = [
    ['no fieldName', { fieldLabel: 'A', fieldType: 'text' }, '/fieldName', 'required'],
    ['no fieldLabel', { fieldName: 'a', fieldType: 'text' }, '/fieldLabel', 'required'],
    ['no fieldType', { fieldName: 'a', fieldLabel: 'A' }, '/fieldType', 'required'],
    ['unknown fieldType', { ...field, fieldType: 'date' }, '/fieldType', 'not-allowed'],
    ['id of a new field', { ...field, id: UNKNOWN }, '', 'unknown-property'],
    ['fieldName beginning with a digit', { ...field, fieldName: '1a' }, '/fieldName', 'wrong-form'],
    ['fieldName with a line end', { ...field, fieldName: 'a\n' }, '/fieldName', 'wrong-form'],
    ['fieldName too long', { ...field, fieldName: 'a'.repeat(65) }, '/fieldName', 'too-long'],
    ['required as text', { ...field, required: 'true' }, '/required', 'wrong-type'],
    ['secret null', { ...field, secret: null }, '/secret', 'wrong-type'],
    ['select without options', { ...field, fieldType: 'select' }, '/options', 'required'],
    ['select with null options', { ...select, options: null }, '/options', 'required'],
    ['no option', { ...select, options: [] }, '/options', 'too-few'],
    ['an option twice', { ...select, options: ['a', 'a'] }, '/options', 'repeated'],
    ['empty option', { ...select, options: [''] }, '/options/0', 'too-short'],
    [
      '201 options',
      { ...select, options: Array.from({ length: 201 }, (_, i) => `${i}`) },
      '/options',
      'too-many'
    ],
    ['options of a text', { ...field, options: ['a'] }, '/options', 'not-for-this-type'],
    ['pattern of a number', { ...field, fieldType: 'number', pattern: '1' }, '/pattern', 'not-for-this-type'],
    ['pattern of a select', { ...select, pattern: 'a' }, '/pattern', 'not-for-this-type'],
    ['pattern of a json', { ...field, fieldType: 'json', pattern: 'a' }, '/pattern', 'not-for-this-type'],
    ['broken pattern', { ...field, pattern: '(' }, '/pattern', 'invalid-pattern'],
    ['look-ahead', { ...field, pattern: 'a(?=b)' }, '/pattern', 'invalid-pattern'],
    ['look-behind', { ...field, pattern: '(?<=a)b' }, '/pattern', 'invalid-pattern'],
    ['back-reference', { ...field, pattern: '(a)\\1' }, '/pattern', 'invalid-pattern'],
    ['long pattern', { ...field, pattern: 'a'.repeat(1001) }, '/pattern', 'too-long'],
    [
      'pattern that compiles to a lot',
      { ...field, pattern: 'a{1000}'.repeat(100) },
      '/pattern',
      'invalid-pattern'
    ],
    ['default of a secret', { ...field, defaultValue: 'a' }, '/defaultValue', 'not-for-secret'],
    ['default of another type', { ...shown, defaultValue: 1 }, '/defaultValue', 'wrong-type'],
    ['default that is no option', { ...select, defaultValue: 'c' }, '/defaultValue', 'not-allowed'],
    [
      'default off the pattern',
      { ...shown, pattern: '^a', defaultValue: 'b' },
      '/defaultValue',
      'wrong-form'
    ],
    ['default too large', { ...shown, defaultValue: 'a'.repeat(65_537) }, '/defaultValue', 'too-large']
  ]
  for (const [name, entry, place, code] of ofField) {
    cases.push([name, { typeName: 'T', fields: [text('ok'), entry] }, `/body/fields/1${place}`, code])
  }
  for (const [name, body, path, code] of cases) {
    t.match(refusal(await admin.post(TYPES, body)), invalid(path, code), name)
  }
  const twice = await admin.post(TYPES, { typeName: 'T', fields: [text('a'), text('A'), text('a')] })
  t.match(refusal(twice), invalid('/body/fields/2/fieldName', 'repeated'), 'names are case-sensitive')
  const options = Array.from({ length: 200 }, (_, i) => `${i}`.padStart(200, 'é'))
  const large = Array.from({ length: 8 }, (_, i) => ({ ...select, fieldName: `f${i}`, options }))
  t.match(
    refusal(await admin.post(TYPES, { typeName: 'T', fields: large })),
    invalid('/body/fields', 'too-large')
  )
  t.equal((await admin.get(TYPES)).json.total, before, 'nothing was created')

  for (const path of [
    `${TYPES}?page=0`,
    `${TYPES}?pageSize=101`,
    `${TYPES}?page=-1`,
    `${TYPES}?colour=red`
  ]) {
    t.equal((await admin.get(path)).status, 400, path)
  }
  const most = await admin.post(TYPES, {
    typeName: 'T',
    fields: Array.from({ length: 64 }, (_, i) => text(`f${i}`))
  })
  t.equal(most.status, 201, '64 fields')
  t.equal((await service.anonymous().get(TYPES)).status, 401)
})

t.test('the fields of a type have at most 16 KiB, in responses too', async (t) => {
  const ann = await service.newUser()
  const fieldsOf = (length: number) =>
    Array.from({ length: 60 }, (_, i) => text(`f${i}`, { description: 'd'.repeat(length) }))
  const answers = await Promise.all(
    [90, 100, 110, 120, 130, 140, 200].map((length) =>
      ann.post(TYPES, { typeName: `Large ${length}`, fields: fieldsOf(length) })
    )
  )
  const made = answers.filter(({ status }) => status === 201)
  t.ok(made.length > 0 && made.length < answers.length, `${made.length} of ${answers.length} fit`)
  for (const { json } of made) t.ok(JSON.stringify(json.fields).length <= 16 * 1024)
  for (const answer of answers.slice(made.length))
    t.match(refusal(answer), invalid('/body/fields', 'too-large'))
  const { json: type } = made[0]!
  const fields = type.fields.map(({ id }: { id: string }) => ({ id, description: 'd'.repeat(200) }))
  t.match(refusal(await ann.put(`${TYPES}/${type.id}`, { fields })), invalid('/body/fields', 'too-large'))
})

t.test('a user has at most 200 types, also with concurrent requests', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const rows = Array.from({ length: 198 }, () => {
    const id = randomUUID()
    return { id, type_name: id, name_key: id, description: null, owner_id: ann.person.id }
  })
  await service.db.insertInto('credential_types').values(rows).execute()
  const create = (caller: Client) => caller.post(TYPES, { typeName: randomUUID(), fields: [text('a')] })
  const answers = await Promise.all(Array.from({ length: 6 }, () => create(ann)))
  t.equal(answers.filter(({ status }) => status === 201).length, 2)
  for (const answer of answers.filter(({ status }) => status !== 201))
    t.match(refusal(answer), { status: 409, code: 'too-many-types' })
  t.equal((await create(bob)).status, 201, 'another user has a separate limit')
  t.equal((await ann.delete(`${TYPES}/${rows[0]!.id}`)).status, 200)
  t.equal((await create(ann)).status, 201, 'a deleted type makes room')
  await service.db.deleteFrom('credential_types').where('owner_id', '=', ann.person.id).execute()
})

t.test('a hostile pattern does not block the service', async (t) => {
  const defaultValue = `${'a'.repeat(4_000)}!`
  const hostile = ['(a+)+$', '(a|a)*$', '(a|aa)+$', '(.*a){12}$', '((a*)*)*$', '([a-z]+)*\\d$']
  const fields = hostile.map((pattern, i) => text(`f${i}`, { secret: false, pattern, defaultValue }))
  const began = performance.now()
  t.match(refusal(await service.admin.post(TYPES, { typeName: 'T', fields })), { status: 400 })
  // Far above the limit for the patterns of one type. Checking stops at the first one.
  const patterns = ['(a{1000}b{1000}){1}', 'a{1000}'.repeat(140), '(((a{10}){10}){10}){1}'.repeat(40)]
  for (const pattern of patterns) {
    const large = Array.from({ length: 64 }, (_, i) => text(`f${i}`, { pattern }))
    const answer = await service.admin.post(TYPES, { typeName: 'T', fields: large })
    t.match(refusal(answer), { status: 400, errors: [{ code: 'invalid-pattern' }] }, pattern.slice(0, 20))
  }
  const took = performance.now() - began
  t.ok(took < 10_000, `${Math.round(took)} ms for all`)
})

t.test('names are unique, ignoring case', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const { id } = await newType(ann, [text('a')], { typeName: 'Été' })
  const fields = [text('a')]
  for (const typeName of ['ÉTÉ', 'été', 'PostgreSQL', 'raw']) {
    t.match(
      refusal(await bob.post(TYPES, { typeName, fields })),
      { status: 409, code: 'name-taken' },
      typeName
    )
  }
  const other = await newType(ann)
  t.match(refusal(await ann.put(`${TYPES}/${other.id}`, { typeName: 'éTé' })), {
    status: 409,
    code: 'name-taken'
  })
  t.equal(
    (await ann.put(`${TYPES}/${id}`, { typeName: 'ÉTÉ' })).status,
    200,
    'a type can change the case of its name'
  )

  const raced = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      (i % 2 ? ann : bob).post(TYPES, { typeName: i % 3 ? 'Race' : 'RACE', fields })
    )
  )
  t.strictSame(raced.map((answer) => answer.status).sort(), [201, ...Array(19).fill(409)])
  t.equal((await ann.get(`${TYPES}?search=race`)).json.total, 1)
})

t.test('retries with one Idempotency-Key create one type', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const body = { typeName: 'Once', fields: [text('a')] }
  const headers = { 'idempotency-key': 'k-1' }
  const answers = await Promise.all([1, 2, 3].map(() => ann.post(TYPES, body, { headers })))
  t.strictSame(new Set(answers.map((answer) => answer.status)), new Set([201]))
  t.equal(new Set(answers.map((answer) => answer.json.id)).size, 1)
  t.equal(answers.filter((answer) => answer.headers.get('idempotency-replayed') === 'true').length, 2)
  t.equal(new Set(answers.map((answer) => answer.headers.get('location'))).size, 1)
  const other = await ann.post(TYPES, { ...body, typeName: 'Twice' }, { headers })
  t.match(refusal(other), { status: 422, code: 'idempotency-key-reused' })
  t.match(
    refusal(await bob.post(TYPES, body, { headers })),
    { status: 409, code: 'name-taken' },
    "another user's key"
  )
  const later = { headers: { 'idempotency-key': 'k-2' } }
  t.match(refusal(await ann.post(TYPES, body, later)), { status: 409 })
  await ann.delete(`${TYPES}/${answers[0]!.json.id}`)
  t.equal((await ann.post(TYPES, body, later)).status, 201, 'a refusal is not stored')
})

t.test(
  'only its owner and administrators can change a type, and no user can change a built-in one',
  async (t) => {
    const [ann, bob] = [await service.newUser(), await service.newUser()]
    const { id } = await newType(ann)
    const builtIn = catalogue[0]!.id
    const changes = { description: 'changed' }
    const cases: [string, Client, string, number][] = [
      ['another user', bob, id, 403],
      ['an administrator', service.admin, id, 200],
      ['the owner', ann, id, 200],
      ['a user, a built-in one', ann, builtIn, 403],
      ['an administrator, a built-in one', service.admin, builtIn, 403],
      ['an unknown id', ann, UNKNOWN, 404],
      ['a malformed id', ann, 'no-id', 404],
      ['nobody', service.anonymous(), id, 401]
    ]
    for (const [name, caller, typeId, status] of cases) {
      t.equal((await caller.put(`${TYPES}/${typeId}`, changes)).status, status, `${name} changes`)
    }
    for (const [name, caller, typeId, status] of cases.filter(([, , , status]) => status !== 200)) {
      t.equal((await caller.delete(`${TYPES}/${typeId}`)).status, status, `${name} deletes`)
    }
    t.equal((await service.admin.delete(`${TYPES}/${id}`)).status, 200, 'an administrator deletes')
    for (const typeId of [UNKNOWN, 'no-id'])
      t.equal((await ann.get(`${TYPES}/${typeId}`)).status, 404, typeId)
  }
)

t.test('an update matches fields by name if they have no id', async (t) => {
  const ann = await service.newUser()
  const type = await newType(ann, [text('a', { secret: false, pattern: '^x' }), text('b'), text('c')])
  const [a, b, c] = type.fields
  const path = `${TYPES}/${type.id}`
  const changed = await ann.put(path, {
    fields: [{ fieldName: 'b', fieldLabel: 'B' }, { fieldName: 'a' }, text('d')]
  })
  t.match(changed.json.fields, [
    { ...b, fieldLabel: 'B', position: 0 },
    { ...a, position: 1 },
    { fieldName: 'd', position: 2 }
  ])
  t.equal(changed.json.fields.length, 3, 'c is removed')
  const renamed = await ann.put(path, { fields: [{ id: a.id, fieldName: 'c' }, text('a'), { id: b.id }] })
  t.match(renamed.json.fields, [{ id: a.id, fieldName: 'c' }, { fieldName: 'a' }, { id: b.id }])
  t.notOk([a.id, b.id, c.id].includes(renamed.json.fields[1].id), 'an id takes precedence over a name')
  for (const [name, fields, place, code] of [
    ['a name twice', [{ fieldName: 'c' }, { fieldName: 'c' }], '1/fieldName', 'repeated'],
    ['an unknown name', [{ fieldName: 'B' }], '0/fieldLabel', 'required'],
    ['a field by id and by name', [{ id: a.id }, { fieldName: 'c' }], '1/fieldLabel', 'required']
  ] as const) {
    t.match(refusal(await ann.put(path, { fields })), invalid(`/body/fields/${place}`, code), name)
  }
})

t.test('an update matches fields by id: changes, adds, removes and reorders them', async (t) => {
  const ann = await service.newUser()
  const type = await newType(ann, [
    text('a', { secret: false, defaultValue: 'x', pattern: '^x', description: 'A' }),
    text('b'),
    text('c')
  ])
  const [a, b, c] = type.fields
  const path = `${TYPES}/${type.id}`
  const revision = async () => (await findTypeWithFields(service.db, type.id))!.revision

  const swapped = await ann.put(path, {
    fields: [
      { id: c.id, fieldName: 'a' },
      text('d'),
      { id: a.id.toUpperCase(), fieldName: 'c', required: false }
    ]
  })
  t.equal(swapped.status, 200)
  t.match(swapped.json.fields, [
    { ...c, fieldName: 'a', position: 0 },
    { fieldName: 'd', required: true, secret: true, position: 1 },
    { ...a, fieldName: 'c', required: false, position: 2 }
  ])
  t.equal(swapped.json.fields.length, 3, 'b is removed')
  t.strictSame((await ann.get(path)).json, swapped.json)
  t.equal(await revision(), 2)

  const again = await ann.put(path, { fields: swapped.json.fields })
  t.strictSame(again.json.fields, swapped.json.fields, 'fields can be sent back unchanged')
  t.equal(await revision(), 2, 'the revision does not change')
  await ann.put(path, { typeName: 'Only renamed' })
  t.equal(await revision(), 2, 'a new type name does not change the revision')

  const cleared = { description: null, defaultValue: null, pattern: null }
  const bare = await ann.put(path, { fields: [{ id: a.id, ...cleared }, text('b')] })
  t.strictSame(Object.keys(bare.json.fields[0]).length, 7, 'null clears')
  t.not(bare.json.fields[1].id, b.id, 'a removed name can be reused for a new field')
  t.equal(await revision(), 3)

  const select = await ann.put(path, {
    fields: [{ id: a.id, fieldType: 'select', options: ['x'], defaultValue: 'x' }]
  })
  t.match(select.json.fields, [{ id: a.id, fieldType: 'select', options: ['x'], secret: false }])
  const other = await newType(ann)
  for (const [name, fields, place, code] of [
    ['an unknown id', [{ id: UNKNOWN }], '0/id', 'unknown-field'],
    ["another type's field", [{ id: a.id }, { id: other.fields[0].id }], '1/id', 'unknown-field'],
    ['a field removed before', [{ id: b.id }], '0/id', 'unknown-field'],
    ['a malformed id', [{ id: 'x' }], '0/id', 'wrong-form'],
    ['one id twice', [{ id: a.id }, { id: a.id.toUpperCase() }], '1/id', 'repeated'],
    ['a new one without a name', [{ fieldLabel: 'N', fieldType: 'text' }], '0/fieldName', 'required'],
    [
      'a new one without a type',
      [{ id: a.id }, { fieldName: 'n', fieldLabel: 'N' }],
      '1/fieldType',
      'required'
    ],
    ['a name twice', [{ id: a.id, fieldName: 'n' }, text('n')], '1/fieldName', 'repeated'],
    ['options that stay behind', [{ id: a.id, fieldType: 'text' }], '0/options', 'not-for-this-type'],
    ['a default that stays behind', [{ id: a.id, options: ['y'] }], '0/defaultValue', 'not-allowed'],
    ['a default that turns secret', [{ id: a.id, secret: true }], '0/defaultValue', 'not-for-secret'],
    ['a bad pattern', [{ id: a.id }, text('n', { pattern: '[' })], '1/pattern', 'invalid-pattern']
  ] as const) {
    t.match(refusal(await ann.put(path, { fields })), invalid(`/body/fields/${place}`, code), name)
  }
  t.match(refusal(await ann.put(path, { fields: [] })), invalid('/body/fields', 'too-few'))
  t.match((await ann.get(path)).json.fields, select.json.fields, 'a refusal changes nothing')
})

t.test('a change that would invalidate credentials is refused and changes nothing', async (t) => {
  const ann = await service.newUser()
  const type = await newType(ann, [
    text('full', { required: false }),
    text('partly', { required: false }),
    text('empty', { required: false }),
    { fieldName: 'pick', fieldLabel: 'Pick', fieldType: 'select', options: ['a', 'b'], required: false }
  ])
  const [full, partly, empty, pick] = type.fields
  const ids = type.fields.map((field: { id: string }) => field.id)
  const path = `${TYPES}/${type.id}`
  await newCredential(service.db, ann.person.id, type.id, [full.id, partly.id, pick.id])
  await newCredential(service.db, ann.person.id, type.id, [full.id])
  const before = (await ann.get(path)).json
  t.equal(before.usageCount, 2)

  const list = (id: string, changes: object) =>
    ids.map((one: string) => ({ id: one, ...(one === id && changes) }))
  const without = (id: string) => list('', {}).filter((entry: { id: string }) => entry.id !== id)
  const refused: [string, object[]][] = [
    ['removing a field that has values', without(partly.id)],
    ['changing the type of a field that has values', list(full.id, { fieldType: 'password' })],
    ['making a secret field non-secret', list(partly.id, { secret: false })],
    ['removing an option', list(pick.id, { options: ['b', 'c'] })],
    ['requiring a field that some credentials have no value for', list(partly.id, { required: true })],
    ['requiring a field that no credential has a value for', list(empty.id, { required: true })],
    ['adding a required field', [...list('', {}), text('added')]]
  ]
  for (const [name, fields] of refused) {
    const answer = await ann.put(path, { typeName: 'Not this', fields })
    t.match(answer, { status: 409, json: { code: 'type-in-use', usageCount: 2 } }, name)
  }
  t.strictSame((await ann.get(path)).json, before)
  t.match(
    (await ann.delete(path)).json,
    { status: 409, code: 'type-in-use', usageCount: 2 },
    'deleting the type'
  )

  for (const [name, fields] of [
    ['removing a field without values', without(empty.id)],
    [
      'requiring a field that all credentials have a value for',
      list(full.id, { required: true }).slice(0, 2).concat({ id: pick.id })
    ],
    ['adding an option', [{ id: full.id }, { id: partly.id }, { id: pick.id, options: ['c', 'b', 'a'] }]],
    ['making a shown field secret', [{ id: full.id }, { id: partly.id }, { id: pick.id, secret: true }]],
    [
      'adding an optional field',
      [{ id: full.id }, { id: partly.id }, { id: pick.id }, text('added', { required: false })]
    ]
  ] as const) {
    t.equal((await ann.put(path, { fields })).status, 200, name)
  }

  await service.db
    .insertInto('credential_environments')
    .columns(['credential_id', 'name'])
    .expression((eb) =>
      eb
        .selectFrom('credentials')
        .where('type_id', '=', type.id)
        .select(['id', sql.lit('staging').as('name')])
    )
    .execute()
  const fields = [{ id: full.id, required: false }, { id: partly.id }, { id: pick.id }]
  t.equal((await ann.put(path, { fields })).status, 200)
  fields[0]!.required = true
  t.match(refusal(await ann.put(path, { fields })), { status: 409 }, 'every environment needs a value')
})

t.test('a concurrent delete and use of a type exclude each other', async (t) => {
  const ann = await service.newUser()
  const type = await newType(ann)
  const id = await newCredential(service.db, ann.person.id, type.id, [])
  t.match(refusal(await ann.delete(`${TYPES}/${type.id}`)), { status: 409 }, 'also without values')
  await service.db.deleteFrom('credentials').where('id', '=', id).execute()
  t.equal((await ann.delete(`${TYPES}/${type.id}`)).status, 200)
  const late = newCredential(service.db, ann.person.id, type.id, [])
  await t.rejects(late, { message: /credentials_type_id_fkey/ })
})

t.test('concurrent changes of one type are serialized', async (t) => {
  const ann = await service.newUser()
  const type = await newType(ann, [text('a'), text('b')])
  const [a, b] = type.fields
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      ann.put(`${TYPES}/${type.id}`, {
        description: `${i}`,
        fields: [
          { id: a.id, fieldName: i % 2 ? 'a' : 'b', fieldLabel: `${i}` },
          { id: b.id, fieldName: i % 2 ? 'b' : 'a', fieldLabel: `${i}` }
        ]
      })
    )
  )
  t.strictSame(new Set(answers.map((answer) => answer.status)), new Set([200]))
  const { json } = await ann.get(`${TYPES}/${type.id}`)
  t.strictSame(
    new Set(json.fields.map((field: { fieldLabel: string }) => field.fieldLabel)),
    new Set([json.description])
  )
  t.equal((await findTypeWithFields(service.db, type.id))!.revision, 21)
})

t.test('a write for the old fields and a change of the fields exclude each other', async (t) => {
  const ann = await service.newUser()
  const type = await newType(ann)
  const path = `${TYPES}/${type.id}`
  const writer = createDatabase({ connectionString: service.databaseUrl })
  t.teardown(() => writer.destroy())
  const claim = (db: Database, revision: number) =>
    db
      .selectFrom('credential_types')
      .where('id', '=', type.id)
      .where('revision', '=', revision)
      .select('id')
      .forKeyShare()
      .execute()
  const add = (name: string) => ann.put(path, { fields: [{ id: type.fields[0].id }, text(name)] })

  let change: Promise<Answer> | undefined
  await writer.transaction().execute(async (trx) => {
    t.equal((await claim(trx, 1)).length, 1)
    change = add('late')
    await new Promise((resolve) => setTimeout(resolve, 200))
    await newCredential(trx, ann.person.id, type.id, [type.fields[0].id])
  })
  t.match(refusal(await change!), { status: 409, code: 'type-in-use' }, 'the change sees the earlier write')

  await service.db.deleteFrom('credentials').where('type_id', '=', type.id).execute()
  const locker = createDatabase({ connectionString: service.databaseUrl })
  t.teardown(() => locker.destroy())
  let claimed: Promise<unknown[]> | undefined
  await locker.transaction().execute(async (trx) => {
    await trx.selectFrom('credential_types').where('id', '=', type.id).select('id').forUpdate().execute()
    claimed = claim(writer, 1)
    await new Promise((resolve) => setTimeout(resolve, 200))
    await trx.updateTable('credential_types').set({ revision: 2 }).where('id', '=', type.id).execute()
  })
  t.strictSame(await claimed, [], 'the writer notices the changed type')
})

t.test('a type is found by id and by name', async (t) => {
  const raw = catalogue[0]!
  const expected = {
    id: raw.id,
    type_name: 'raw',
    owner_id: null,
    revision: 1,
    fields: [
      {
        id: raw.fields[0]!.id,
        field_name: 'body',
        field_label: 'Body',
        field_type: 'json',
        required: true,
        secret: true,
        description: null,
        default_value: null,
        options: null,
        pattern: null,
        constraints: { shape: 'object' as const },
        position: 0
      }
    ]
  }
  t.strictSame(await findTypeWithFields(service.db, raw.id), expected)
  t.strictSame(await findTypeByName(service.db, 'RAW', UNKNOWN), expected)
  t.equal(await findTypeByName(service.db, 'ra%', UNKNOWN), undefined)
  t.equal(await findTypeWithFields(service.db, UNKNOWN), undefined)
  const { fields } = (await findTypeByName(service.db, 's3-bucket', UNKNOWN))!
  t.strictSame(
    fields.map((field) => field.field_name),
    catalogue.find((type) => type.typeName === 's3-bucket')!.fields.map((field) => field.fieldName),
    'in the order of the catalogue'
  )
})
