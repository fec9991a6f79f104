import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import type { Answer, Client } from '../helpers/client.ts'
import {
  newCredential,
  newCredentialBody,
  newProject,
  newType,
  reveal,
  uniqueName
} from '../helpers/fixtures.ts'
import { newToken } from '../helpers/tokens.ts'

const service = await startTestApp(t)
const { admin } = service
const type = await newType(admin)

const V1 = '/api/v1/app-credentials'
const LIGHTNING = '/api/credentials'
const TYPES = '/api/v1/credential-types'
const FIELDS = [{ fieldName: 'a', fieldLabel: 'A', fieldType: 'text' }]

interface Way {
  property: string
  send(name: string): Promise<Answer>
}

/** Returns the v1 requests that accept a name. */
async function waysOf(caller: Client): Promise<Record<string, Way>> {
  const credential = await newCredential(caller, type)
  const project = await newProject(caller)
  const { id: typeId } = await newType(caller)
  const user = { email: 'x@example.org', password: 'correct horse battery' }
  const user2 = await service.newUser()
  let count = 0
  return {
    'a new credential': {
      property: 'credentialName',
      send: (name) => caller.post(V1, newCredentialBody(type, { credentialName: name }))
    },
    'a credential': {
      property: 'credentialName',
      send: (name) => caller.put(`${V1}/${credential.id}`, { credentialName: name })
    },
    'a new type': {
      property: 'typeName',
      send: (name) => caller.post(TYPES, { typeName: name, fields: FIELDS })
    },
    'a type': {
      property: 'typeName',
      send: (name) => caller.put(`${TYPES}/${typeId}`, { typeName: name })
    },
    'a new project': { property: 'name', send: (name) => caller.post('/api/v1/projects', { name }) },
    'a project': { property: 'name', send: (name) => caller.put(`/api/v1/projects/${project}`, { name }) },
    'a new token': {
      property: 'name',
      send: (name) => caller.post('/api/v1/access-tokens', { name, scopes: ['credentials:read'] })
    },
    'a new user': {
      property: 'name',
      send: (name) => caller.post('/api/v1/users', { ...user, email: `${++count}${user.email}`, name })
    },
    'a user': {
      property: 'name',
      send: (name) => caller.put(`/api/v1/users/${user2.person.id}`, { name })
    }
  }
}

for (const [what, { property, send }] of Object.entries(await waysOf(admin))) {
  t.test(`the name of ${what}`, async (t) => {
    const name = uniqueName('Café ❤️ 葛')
    const answer = await send(`\u3000${name.normalize('NFD')}\t\u00a0`)
    t.match(answer.json, { [property]: name }, 'is normalized')
    for (const bad of ['a\u200bb', 'a\u202eb', 'a\tb', '\u2003\u3000', '\u3164', 'a\u{e0041}', 'a\ufdd0']) {
      const refused = await send(bad)
      t.match(
        [refused.status, refused.json.errors],
        [400, [{ path: `/body/${property}`, code: 'wrong-form', message: /^This contains / }]],
        JSON.stringify(bad)
      )
      t.notOk(refused.text.includes(bad), 'input is not echoed')
    }
    t.match((await send('e\u0301'.repeat(201))).json.errors, [{ code: 'too-long' }])
    t.match((await send('')).json.errors, [{ code: 'too-short' }])
  })
}

t.test('on the Lightning-compatible API', async (t) => {
  const ann = await service.newUser()
  const send = (name: unknown) => ann.post(LIGHTNING, { name, body: { a: 1 } })
  const made = await send('\u3000Café \t'.normalize('NFD'))
  t.equal(made.json.credential.name, 'Café')
  for (const blank of ['', ' ', '\u2003\u3000', '\u3164', '\u200b'])
    t.same((await send(blank)).json, { errors: { name: ["can't be blank"] } }, JSON.stringify(blank))
  t.same((await send('a\u202eb')).json, {
    errors: {
      name: [
        'credential name has invalid format',
        'This contains a character that changes the direction of the text.'
      ]
    }
  })
  t.same((await send('x'.repeat(201))).json.errors, { name: ['credential name has invalid format'] })
  t.equal((await send('🔑'.repeat(200))).status, 201)
})

/** Groups of equal names. The first of each is stored. */
const ALIKE = [
  ['Mail', 'mail', ' Mail ', 'Mail\u00a0', 'Mail\u3000'],
  ['Café', 'Cafe\u0301', 'CAFÉ', 'cafe\u0301'],
  ['Straße', 'STRASSE', 'Stra\u1e9ee'],
  ['Ω', '\u2126', 'ω'],
  ['ΟΔΟΣ', 'οδος', 'οδοσ'],
  ['Łódź', 'łódź', 'ŁÓDŹ'],
  ['K2', '\u212a2', 'k2'],
  ['ﬁle', 'FILE'],
  ['Mail  server', 'mail server', 'Mail\u00a0server']
]
/** Look-ups ignore characters that are not allowed in names. */
const ASKED = [['Mail', 'Ma\u200bil\ufeff'], ...ALIKE]

t.test('equal names conflict, in both APIs', async (t) => {
  for (const [stored, ...others] of ALIKE) {
    const ann = await service.newUser()
    t.equal((await ann.post(V1, newCredentialBody(type, { credentialName: stored }))).status, 201)
    const another = await newCredential(ann, type)
    for (const other of others) {
      const what = `${stored} and ${JSON.stringify(other)}`
      const made = await ann.post(V1, newCredentialBody(type, { credentialName: other }))
      t.match([made.status, made.json.code], [409, 'name-taken'], what)
      const renamed = await ann.put(`${V1}/${another.id}`, { credentialName: other })
      t.match([renamed.status, renamed.json.code], [409, 'name-taken'], what)
      t.same(
        (await ann.post(LIGHTNING, { name: other, body: { a: 1 } })).json,
        { errors: { name: ['you have another credential with the same name'] } },
        what
      )
    }
    t.equal((await ann.put(`${V1}/${another.id}`, { credentialName: 'free' })).status, 200)
    const list = await ann.get(V1)
    t.equal(list.json.total, 2)
  }
})

t.test('a credential can be renamed to another form of its name', async (t) => {
  const ann = await service.newUser()
  const { id } = await newCredential(ann, type, { credentialName: 'mail' })
  t.match((await ann.put(`${V1}/${id}`, { credentialName: 'MAIL' })).json, { credentialName: 'MAIL' })
  t.equal((await ann.get(`${V1}?search=mai`)).json.data[0].credentialName, 'MAIL')
})

t.test('resolve finds a name in every form, and refuses repeated names', async (t) => {
  const ann = await service.newUser()
  const project = await newProject(ann)
  const machine = await newToken(ann, ['credentials:resolve'], { projectId: project })
  const resolve = (...names: string[]) =>
    machine.post(`/api/v1/projects/${project}/resolve`, { credentials: names.map((name) => ({ name })) })
  for (const [stored, ...others] of ASKED) {
    if (stored !== 'Mail' || !(await ann.get(`${V1}?search=Mail`)).json.data.length)
      await newCredential(ann, type, { credentialName: stored, projectIds: [project] })
    for (const name of [stored!, ...others]) {
      const { json } = await resolve(name)
      t.match(json.results, [{ credentialName: stored }], JSON.stringify(name))
      t.match((await resolve(stored!, name)).json.errors, [{ code: 'repeated' }])
    }
  }
  const long = 'é'.repeat(200)
  await newCredential(ann, type, { credentialName: long, projectIds: [project] })
  t.match((await resolve(long.normalize('NFD'))).json.results, [{ credentialName: long }])
  t.match((await resolve('\u200b')).json.results, [{ error: { code: 'not-found' } }])
})

t.test('a search finds every form, in credentials, projects, types and users', async (t) => {
  const mark = uniqueName('x')
  const found = async (path: string, search: string) =>
    (await admin.get(`${path}?search=${encodeURIComponent(search)}`)).json.total
  await newCredential(admin, type, { credentialName: `Crêpe Straße ${mark}` })
  await admin.post('/api/v1/projects', { name: `Crêpe Straße ${mark}` })
  await admin.post(TYPES, { typeName: `Crêpe Straße ${mark}`, fields: FIELDS })
  await service.newUser({ name: `Crêpe Straße ${mark}` })
  for (const path of [V1, '/api/v1/projects', TYPES, '/api/v1/users']) {
    for (const search of ['Crêpe', 'CRE\u0302PE', 'strasse', 'STRAẞE', 'êpe\u00a0 stra', ' crêpe '])
      t.equal(await found(path, search), 1, `${path} ${search}`)
    for (const search of ['Cr_pe', 'cr%stra', 'crepe '])
      t.equal(await found(path, search), 0, `${path} ${search}`)
  }
})

t.test('a schema is found by every form of its type name', async (t) => {
  const ann = await service.newUser()
  const typeName = uniqueName('Größe')
  t.equal((await ann.post(TYPES, { typeName, fields: FIELDS })).status, 201)
  for (const other of [typeName.toUpperCase(), typeName.normalize('NFD'), ` ${typeName}\u00a0`]) {
    t.match((await ann.post(TYPES, { typeName: other, fields: FIELDS })).json, { code: 'name-taken' })
    const made = await ann.post(LIGHTNING, { name: uniqueName('made'), schema: other, body: { a: 'x' } })
    t.match(made.json, { credential: { schema: typeName } }, JSON.stringify(other))
    t.same(await reveal(ann, made.json.credential.id), { a: 'x' })
  }
  const long = '🔑é'.repeat(100)
  await ann.post(TYPES, { typeName: long, fields: FIELDS })
  const asked = { name: uniqueName('made'), schema: long.normalize('NFD'), body: { a: 'x' } }
  t.equal((await ann.post(LIGHTNING, asked)).status, 201)
})

t.test('lists by name have a fixed order', async (t) => {
  const ann = await service.newUser()
  const names = ['b', 'B\u0301', 'Z', 'ä', 'Á', 'z-1', 'Z 2', 'Ω', 'a', '_', '10', '9', '🔑', 'ｆ']
  for (const name of names) await ann.post(LIGHTNING, { name, body: { x: 1 } })
  const list = (await ann.get(LIGHTNING)).json.credentials.map((one: { name: string }) => one.name)
  const sorted = ['10', '9', '_', 'a', 'b', 'B\u0301', 'Z', 'Z 2', 'z-1', 'Á', 'ä', 'Ω', 'ｆ', '🔑']
  t.same(list, sorted)
})
