import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Client } from '../../helpers/client.ts'
import { addMember, newCredential, newProject, newType } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'

const path = '/api/v1/app-credentials'
const UNKNOWN = '00000000-0000-4000-8000-000000000000'

type Listed = { credentialName: string }[]

async function namesOf(client: Client, query: string, url = path): Promise<string[]> {
  const { status, json, text } = await client.get(`${url}?${query}`)
  if (status !== 200) throw new Error(text)
  return ((json.data ?? json) as Listed).map((one) => one.credentialName)
}

t.test('credentials are listed by when they expire and when they changed', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const type = await newType(ann)
  const other = await newType(ann)
  const project = await newProject(ann)
  const times = {
    January: '2090-01-15T00:00:00Z',
    'first of February': '2090-02-01T00:00:00Z',
    February: '2090-02-14T12:00:00Z',
    'first of March': '2090-03-01T00:00:00Z',
    March: '2090-03-02T00:00:00Z',
    never: null
  }
  for (const [credentialName, expiresAt] of Object.entries(times))
    await newCredential(ann, type, { credentialName, expiresAt, projectIds: [project] })
  await newCredential(ann, other, { credentialName: 'of another type', expiresAt: times.February })

  for (const url of [path, `${path}/by-project/${project}`]) {
    const list = (query: string) => namesOf(ann, `credentialTypeId=${type.id}&${query}`, url)
    const february = 'expiresFrom=2090-02-01T00:00:00Z&expiresBefore=2090-03-01T00:00:00Z'
    t.same(
      await list(`${february}&sort=expiresAt`),
      ['first of February', 'February'],
      'from is inclusive, before is exclusive'
    )
    t.same(await list(`${february}&sort=-expiresAt`), ['February', 'first of February'])
    t.same(await list(`${february}&search=first`), ['first of February'])
    t.same(await list('expiresFrom=2090-03-01T01:00:00%2B01:00&sort=name'), ['first of March', 'March'])
    t.same(await list('expiresBefore=2090-02-01T00:00:00Z'), ['January'])
    t.same(await list('sort=expiresAt'), Object.keys(times), 'credentials that never expire come last')
    t.same(await list('sort=-expiresAt'), Object.keys(times).toReversed())
    t.same(await list('expiresFrom=2090-03-01T00:00:00Z&expiresBefore=2090-02-01T00:00:00Z'), [])
  }

  await sql`update credentials set updated_at = timestamptz '2026-01-01 00:00:00.123456Z'
    where name <> 'March'`.execute(service.db)
  await sql`update credentials set updated_at = timestamptz '2026-01-02' where name = 'January'`.execute(
    service.db
  )
  for (const url of [path, `${path}/by-project/${project}`]) {
    const list = (query: string) => namesOf(ann, query, url)
    t.same(await list('updatedSince=2026-01-02T00:00:00Z&sort=updatedAt'), ['January', 'March'], 'inclusive')
    t.same(await list('updatedSince=2026-01-02T00:00:00.001Z'), ['March'])
    const shown = (await ann.get(`${url}?search=never`)).json
    const [{ updatedAt }] = shown.data ?? shown
    t.ok((await list(`updatedSince=${updatedAt}`)).includes('never'), 'the returned time matches')
    t.equal((await list('sort=-updatedAt'))[0], 'March')
  }

  for (const name of ['expiresFrom', 'expiresBefore', 'updatedSince']) {
    for (const value of [
      'x',
      '',
      '2090-01-01',
      '2090-13-01T00:00:00Z',
      '1969-01-01T00:00:00Z',
      '+infinity'
    ]) {
      const { status, json } = await ann.get(`${path}?${name}=${encodeURIComponent(value)}`)
      t.equal(status, 400, `${name}=${value}`)
      t.match(json.errors, [{ path: `/query/${name}` }])
    }
  }
})

t.test('filtering by a project reveals nothing about it to others', async (t) => {
  const service = await startTestApp(t)
  const [ann, bob, eve] = [await service.newUser(), await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const project = await newProject(ann)
  await addMember(ann, project, bob, 'editor')
  const linked = { projectIds: [project] }
  await newCredential(ann, type, { credentialName: 'of Ann', ...linked })
  await newCredential(ann, type, { credentialName: 'elsewhere' })
  await newCredential(bob, type, { credentialName: 'of Bob', ...linked })
  t.same(await namesOf(ann, `projectId=${project}`), ['of Ann'], 'only credentials of the caller')
  t.same(await namesOf(ann, `projectId=${project.toUpperCase()}`), ['of Ann'])
  t.same(await namesOf(bob, `projectId=${project}`), ['of Bob'])
  const reader = await newToken(bob, ['credentials:read'])
  t.same(await namesOf(reader, `projectId=${project}`), ['of Bob'])

  const unknown = await eve.get(`${path}?projectId=${UNKNOWN}`)
  const hidden = await eve.get(`${path}?projectId=${project}`)
  t.equal(hidden.text, unknown.text, 'a project of others looks like an unknown one')
  await ann.delete(`/api/v1/projects/${project}/members/${bob.person.id}`)
  t.equal((await bob.get(`${path}?projectId=${project}`)).text, unknown.text, 'also after leaving it')
  t.equal((await ann.get(`${path}?projectId=x`)).status, 400)
})

t.test('lists of named resources can be searched, sorted and filtered by time', async (t) => {
  const service = await startTestApp(t)
  const { admin, db } = service
  const ann = await service.newUser({ name: 'Ann Zulu' })
  const project = await newProject(ann)
  for (const name of ['Ärger', 'beta', 'Alpha']) {
    const user = await service.newUser({ name: `${name} Zulu` })
    await addMember(ann, project, user, 'viewer')
    await ann.post('/api/v1/projects', { name: `${name} Zulu` })
    const fields = [{ fieldName: 'a', fieldLabel: 'A', fieldType: 'text' }]
    await ann.post('/api/v1/credential-types', { typeName: `${name} Zulu`, fields })
  }
  const inOrder = ['Alpha Zulu', 'Ann Zulu', 'beta Zulu', 'Ärger Zulu']
  const lists: [Client, string, string, string[]][] = [
    [admin, '/api/v1/users', 'users', inOrder],
    [ann, '/api/v1/projects', 'projects', inOrder.filter((name) => name !== 'Ann Zulu')],
    [ann, '/api/v1/credential-types', 'credential_types', inOrder.filter((name) => name !== 'Ann Zulu')],
    [ann, `/api/v1/projects/${project}/members`, '', inOrder]
  ]
  for (const [caller, url, table, expected] of lists) {
    const names = async (query: string) =>
      (await caller.get(`${url}?${query}`)).json.data.map(
        (one: { name?: string; typeName?: string }) => one.name ?? one.typeName
      )
    t.same(await names('search=zULU&sort=name'), expected, url)
    t.same(await names('search=zULU&sort=-name'), expected.toReversed(), url)
    if (table === '') continue
    await sql`update ${sql.table(table)} set updated_at = '2020-01-01'
      where name_key <> 'alpha zulu'`.execute(db)
    t.same(await names('search=Zulu&updatedSince=2020-01-02T00:00:00Z'), ['Alpha Zulu'], url)
    t.same((await names('search=Zulu&sort=-updatedAt'))[0], 'Alpha Zulu', url)
    t.equal((await caller.get(`${url}?sort=email`)).status, 400)
  }
})
