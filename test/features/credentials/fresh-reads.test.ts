import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Client } from '../../helpers/client.ts'
import { addMember, newCredential, newProject, newType } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'

const path = '/api/v1/app-credentials'

type Keys = { keys: { keyValue?: unknown }[] }
const withoutValues = (one: Keys) => ({ ...one, keys: one.keys.map(({ keyValue: _, ...key }) => key) })

t.test('every change shows in the next read of the credential, and in lists', async (t) => {
  const service = await startTestApp(t)
  const [ann, bob, eve] = [await service.newUser(), await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const { host, note } = type.field
  const { id } = await newCredential(ann, type)
  const own = `${path}/${id}`
  const project = await newProject(ann)
  await addMember(ann, project, bob, 'editor')
  const fields = (await ann.get(`/api/v1/credential-types/${type.id}`)).json.fields as object[]

  const changes: [string, () => Promise<{ status: number }>, object][] = [
    ['its name', () => ann.put(own, { credentialName: 'other' }), { credentialName: 'other' }],
    ['its description', () => ann.put(own, { description: 'd' }), { description: 'd' }],
    [
      'its end',
      () => ann.put(own, { expiresAt: '2100-01-01T00:00:00.000Z' }),
      { expiresAt: '2100-01-01T00:00:00.000Z' }
    ],
    [
      'a value',
      () => ann.put(own, { keys: [{ fieldId: host, keyValue: 'other.example.org' }] }),
      { keys: [{ keyValue: 'other.example.org' }, {}, { hasValue: false }] }
    ],
    [
      'a secret value',
      () => ann.put(own, { keys: [{ fieldId: note, keyValue: 'n' }] }),
      { keys: [{}, {}, { hasValue: true }] }
    ],
    [
      'its environments',
      () =>
        ann.put(`${own}/environments/staging`, {
          keys: fields.slice(0, 2).map((field) => ({ fieldId: (field as { id: string }).id, keyValue: 's' }))
        }),
      { environments: ['main', 'staging'] }
    ],
    ['an environment less', () => ann.delete(`${own}/environments/staging`), { environments: ['main'] }],
    ['a consumer', () => ann.put(`${own}/usages/workflow:1`), { usageCount: 1 }],
    [
      'its projects',
      () => ann.post(`${own}/assign-projects`, { projectIds: [project] }),
      { projects: [{ id: project }] }
    ],
    [
      'the name of a project',
      () => ann.put(`/api/v1/projects/${project}`, { name: 'renamed' }),
      { projects: [{ name: 'renamed' }] }
    ],
    [
      'the name of its type',
      () => ann.put(`/api/v1/credential-types/${type.id}`, { typeName: 'type renamed' }),
      { credentialType: { typeName: 'type renamed' } }
    ],
    ['its owner', () => ann.post(`${own}/transfer`, { email: bob.person.email }), { ownerId: bob.person.id }]
  ]
  let last = (await ann.get(own)).text
  for (const [what, change, expected] of changes) {
    t.match({ status: (await change()).status }, { status: /^20[01]$/ }, what)
    const owner = what === 'its owner' ? bob : ann
    for (let i = 0; i < 3; i++) {
      const { json, text } = await owner.get(own)
      t.match(json, expected, what)
      t.not(text, last, what)
      if (i === 2) last = text
      t.strictSame((await owner.get(path)).json.data, [withoutValues(json)], `${what}, in a list`)
    }
  }

  t.same((await bob.get(own)).json.projects.length, 1)
  await ann.delete(`/api/v1/projects/${project}/members/${bob.person.id}`)
  t.same((await bob.get(own)).json.projects, [], 'only projects of the caller are shown')
  t.equal((await ann.get(own)).json.projects.length, 1)
  t.same((await bob.get(own)).json.projects, [])
  const [seen] = (await ann.get(`${path}/by-project/${project}`)).json
  for (let i = 0; i < 2; i++) {
    t.same((await bob.get(path)).json.data[0].projects, [])
    t.same((await ann.get(`${path}/by-project/${project}`)).json, [seen])
    t.equal(seen.projects.length, 1)
  }
  for (let i = 0; i < 2; i++) t.equal((await eve.get(own)).status, 404)

  const flip = () =>
    sql`update credential_keys set value = set_byte(value, 20, get_byte(value, 20) # 1)
        where credential_id = ${id} and field_id = ${host}`.execute(service.db)
  await flip()
  for (let i = 0; i < 2; i++) t.equal((await bob.get(own)).json.code, 'decryption-failed', 'tampered with')
  await flip()
  t.equal((await bob.get(own)).status, 200)
  t.equal((await bob.delete(own)).status, 409)
  await bob.delete(`${own}/usages/workflow:1`)
  t.equal((await bob.delete(own)).status, 200)
  t.equal((await bob.get(own)).status, 404)
})

t.test('every change shows in the next page of a list', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const project = await newProject(ann)
  const shared = await newProject(bob)
  await addMember(bob, shared, ann, 'editor')
  const [one, two, three] = [
    await newCredential(ann, type, { projectIds: [project, shared] }),
    await newCredential(ann, type),
    await newCredential(ann, type)
  ]
  const own = `${path}/${one.id}`
  const machine = await newToken(ann, ['usages:write'], { projectId: project })
  const { host, password, note } = type.field
  const fields = (await ann.get(`/api/v1/credential-types/${type.id}`)).json.fields as { fieldName: string }[]
  const values = [
    { fieldId: host, keyValue: 'h' },
    { fieldId: password, keyValue: 'p' }
  ]
  const lightning = (changes: object) => ann.post('/api/credentials', changes)
  let made: string

  const changes: [string, () => Promise<{ status: number }>][] = [
    ['a credential is renamed', () => ann.put(own, { credentialName: 'credential renamed' })],
    ['a credential gets a description', () => ann.put(own, { description: 'd' })],
    ['a credential gets an expiry time', () => ann.put(own, { expiresAt: '2100-01-01T00:00:00.000Z' })],
    ['a value is added', () => ann.put(own, { keys: [{ fieldId: note, keyValue: 'n' }] })],
    ['a value is removed', () => ann.put(own, { keys: [{ fieldId: note, keyValue: null }] })],
    ['an environment is added', () => ann.put(`${own}/environments/staging`, { keys: values })],
    ['an environment is removed', () => ann.delete(`${own}/environments/staging`)],
    ['its owner adds a usage', () => ann.put(`${own}/usages/workflow:1`)],
    ['its owner removes the usage', () => ann.delete(`${own}/usages/workflow:1`)],
    ['a project token adds a usage', () => machine.put(`${own}/usages/workflow:2`)],
    ['a project token removes the usage', () => machine.delete(`${own}/usages/workflow:2`)],
    [
      'all projects are removed from a credential',
      () => ann.post(`${own}/assign-projects`, { projectIds: [] })
    ],
    ['projects are added to a credential', () => ann.put(own, { projectIds: [project, shared] })],
    [
      'an admin removes a credential from a project',
      () => bob.delete(`${path}/by-project/${shared}/${one.id}`)
    ],
    ['its owner adds it to the project again', () => ann.put(own, { projectIds: [project, shared] })],
    ['a project is renamed', () => bob.put(`/api/v1/projects/${shared}`, { name: 'renamed' })],
    [
      'the user is removed from a project',
      () => bob.delete(`/api/v1/projects/${shared}/members/${ann.person.id}`)
    ],
    [
      'the user is added to the project again',
      () => bob.post(`/api/v1/projects/${shared}/members`, { email: ann.person.email, role: 'viewer' })
    ],
    ['a project is deleted', () => bob.delete(`/api/v1/projects/${shared}`)],
    [
      'a type is renamed',
      () => ann.put(`/api/v1/credential-types/${type.id}`, { typeName: `of ${type.id}` })
    ],
    [
      'a field is added to a type',
      () =>
        ann.put(`/api/v1/credential-types/${type.id}`, {
          fields: [...fields, { fieldName: 'more', fieldLabel: 'More', fieldType: 'text', required: false }]
        })
    ],
    [
      'a credential is created',
      () => ann.post(path, { credentialName: 'credential 4', credentialTypeId: type.id, keys: values })
    ],
    [
      'a credential is transferred',
      () => ann.post(`${path}/${two.id}/transfer`, { email: bob.person.email })
    ],
    [
      'a credential is transferred back',
      () => bob.post(`${path}/${two.id}/transfer`, { email: ann.person.email })
    ],
    ['a credential is deleted', () => ann.delete(`${path}/${three.id}`)],
    [
      'a credential is created by the Lightning API',
      async () => {
        const answer = await lightning({ name: 'credential 5', schema: 'raw', body: { a: 1 } })
        made = answer.json.credential?.id
        return answer
      }
    ],
    ['a credential is deleted by the Lightning API', () => ann.delete(`/api/credentials/${made}`)]
  ]

  // Compared below with the same query and a search that matches all credentials.
  const read = async (client: Client, query: string) => {
    const { nextCursor, ...page } = (await client.get(`${path}${query}`)).json
    return { ...page, hasMore: nextCursor !== null }
  }
  const queries = ['', '?pageSize=2', '?page=2&pageSize=2', `?credentialTypeId=${type.id}`]
  for (const [what, change] of changes) {
    const before = await read(ann, '')
    t.match(await change(), { status: /^20/ }, what)
    t.notSame(await read(ann, ''), before, what)
    for (const query of queries) {
      const fresh = await read(ann, `${query === '' ? '?' : `${query}&`}search=credential`)
      t.strictSame(await read(ann, query), fresh, `${query}: ${what}`)
    }
  }
})
