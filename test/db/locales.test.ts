import t from 'tap'
import { createDatabase } from '../../src/db/database.ts'
import { migrate } from '../../src/db/migrate.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { startTestApp } from '../helpers/app.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { newCredential, newCredentialBody, newProject, newType } from '../helpers/fixtures.ts'
import { startProcess } from '../helpers/process.ts'
import { newToken } from '../helpers/tokens.ts'

const icu = (locale: string) => `locale_provider icu icu_locale '${locale}' locale 'C' encoding 'UTF8'`
const LOCALES: Record<string, string> = {
  'C of the C library': "locale_provider libc locale 'C' encoding 'UTF8'",
  'tr-TR of ICU': icu('tr-TR'),
  'en-US of ICU': icu('en-US'),
  'lt-LT of ICU': icu('lt-LT')
}

const V1 = '/api/v1/app-credentials'
const TYPES = '/api/v1/credential-types'
const FIELDS = [{ fieldName: 'a', fieldLabel: 'A', fieldType: 'text' }]
const NAMES = [
  'b',
  'B 2',
  'a-b',
  'a b',
  'A_b',
  'ab',
  'Z',
  'z1',
  'i',
  'ı',
  'I 2',
  'é',
  'Élan',
  'Ω',
  '葛',
  '🔑',
  'ｆ'
]
const SORTED = [
  'a b',
  'a-b',
  'A_b',
  'ab',
  'b',
  'B 2',
  'i',
  'I 2',
  'Z',
  'z1',
  'é',
  'Élan',
  'ı',
  'Ω',
  '葛',
  'ｆ',
  '🔑'
]

for (const [what, locale] of Object.entries(LOCALES)) {
  t.test(`a database with the locale ${what}`, async (t) => {
    const service = await startTestApp(t, {}, { locale })
    const { admin } = service
    const type = await newType(admin)
    const password = 'correct horse battery'
    const user = { name: 'Info', password }

    t.test('allows one user for an e-mail address', async (t) => {
      t.equal((await admin.post('/api/v1/users', { ...user, email: 'INFO.I@Example.org' })).status, 201)
      for (const email of ['info.i@example.org', 'Info.I@EXAMPLE.ORG', 'INFO.I@Example.org']) {
        t.match((await admin.post('/api/v1/users', { ...user, email })).json, { code: 'email-taken' }, email)
        t.equal((await service.anonymous().signIn({ email, password })).status, 200, email)
      }
      const project = await newProject(admin)
      const member = { email: 'info.i@example.org', role: 'viewer' }
      t.equal((await admin.post(`/api/v1/projects/${project}/members`, member)).status, 201)
      const { id } = await newCredential(admin, type)
      t.equal((await admin.post(`${V1}/${id}/transfer`, { email: 'info.I@example.org' })).status, 200)
    })

    t.test('allows one credential and one type with a name', async (t) => {
      const ann = await service.newUser()
      for (const [one, other] of [
        ['MAIL', 'mail'],
        ['Élan', 'élan'],
        ['Ω', 'ω'],
        ['Straße', 'STRASSE']
      ] as const) {
        t.equal((await ann.post(V1, newCredentialBody(type, { credentialName: one }))).status, 201)
        const again = await ann.post(V1, newCredentialBody(type, { credentialName: other }))
        t.match(again.json, { code: 'name-taken' }, other)
        t.equal((await ann.post(TYPES, { typeName: `${one} I`, fields: FIELDS })).status, 201)
        const twice = await ann.post(TYPES, { typeName: `${other} i`, fields: FIELDS })
        t.match(twice.json, { code: 'name-taken' }, other)
      }
    })

    t.test('finds names in any case', async (t) => {
      const ann = await service.newUser()
      const project = await newProject(ann)
      const machine = await newToken(ann, ['credentials:resolve'], { projectId: project })
      await newCredential(ann, type, { credentialName: 'Mailing I', projectIds: [project] })
      await ann.post('/api/v1/projects', { name: 'Mailing I' })
      for (const search of ['MAILING', 'mailing i']) {
        t.equal((await ann.get(`${V1}?search=${search}`)).json.total, 1, search)
        t.equal((await ann.get(`/api/v1/projects?search=${search}`)).json.total, 1, search)
      }
      const asked = { credentials: [{ name: 'MAILING i' }] }
      const resolved = await machine.post(`/api/v1/projects/${project}/resolve`, asked)
      t.match(resolved.json.results, [{ credentialName: 'Mailing I' }])
      for (const schema of ['RAW', 'Raw'])
        t.equal(
          (await ann.post('/api/credentials', { name: `of ${schema === 'RAW'}`, schema, body: {} })).status,
          201
        )
      for (const name of ['DHIS2', 'TWILIO', 'SMTP', 'POSTGRESQL']) {
        const { errors } = (await ann.post('/api/credentials', { name, schema: name, body: {} })).json
        t.ok(errors.body && !errors.schema, `${name}: the body is refused, not the schema`)
      }
    })

    t.test('stores names in any script, and lists them in one order', async (t) => {
      const ann = await service.newUser()
      for (const name of NAMES)
        t.equal((await ann.post('/api/credentials', { name, body: { x: 1 } })).status, 201, name)
      const list = (await ann.get('/api/credentials')).json.credentials
      t.same(
        list.map((one: { name: string }) => one.name),
        SORTED
      )
      const projectIds = []
      for (const name of NAMES) projectIds.push((await ann.post('/api/v1/projects', { name })).json.id)
      const { projects } = await newCredential(ann, type, { credentialName: 'linked', projectIds })
      t.same(
        projects.map((one: { name: string }) => one.name),
        SORTED
      )
    })
  })
}

t.test('a database in another encoding is refused', async (t) => {
  for (const encoding of ['LATIN1', 'SQL_ASCII']) {
    const { url, drop } = await createTestDatabase({
      empty: true,
      locale: `locale 'C' encoding '${encoding}'`
    })
    const db = createDatabase({ connectionString: url })
    await t.rejects(migrate(db), {
      message:
        `the database has the encoding ${encoding}, but must have UTF8: create it with ` +
        `"create database … template template0 encoding 'UTF8' locale 'C'"`
    })
    await db.destroy()
    const service = startProcess(t, t.testdir(), {
      DATABASE_URL: url,
      LATCHKEY_ROOT_KEYS: newRootKey('test'),
      LATCHKEY_ADMIN_EMAIL: 'root@example.org',
      LATCHKEY_ADMIN_PASSWORD: 'a long enough one'
    })
    t.equal(await service.exited, 1)
    t.match(service.output(), /^latchkey: the database has the encoding [^\n]*\n$/, 'one line')
    await drop()
  }
})
