import { randomUUID } from 'node:crypto'
import t from 'tap'
import { uuidv7 } from '../../../src/ids.ts'
import type { Answer, Client } from '../../helpers/client.ts'
import { uniqueName } from '../../helpers/fixtures.ts'
import { memberPath, outcome, PEOPLE, PROJECTS, startWithRoles } from '../../helpers/project-roles.ts'

const { service, olga, adam, eddy, vera, mimi, nora, newProject, rolesIn } = await startWithRoles(t)

t.test('the user who creates a project becomes its owner', async (t) => {
  const made = await vera.post(PROJECTS, { name: 'Report', description: 'Of the day' })
  t.equal(made.status, 201)
  const path = made.headers.get('location')!
  t.equal(path, `${PROJECTS}/${made.json.id}`)
  t.match(made.json, { name: 'Report', description: 'Of the day', role: 'owner' })
  t.same((await vera.get(path)).json, made.json)
  const members = (await vera.get(`${path}/members`)).json.data
  const { id: userId, email } = vera.person
  t.same(members, [{ userId, email, name: 'Vera', role: 'owner', createdAt: made.json.createdAt }])
  t.equal((await vera.post(PROJECTS, { name: 'Report 2' })).json.description, null)
})

t.test('each role has exactly the permissions in the table', async (t) => {
  const email = nora.person.email
  const roles = { viewer: vera, editor: eddy, admin: adam, owner: olga, nobody: nora }
  // One expected status for each role, in the order of `roles`.
  const acts: [string, number[], (who: Client, project: string) => Promise<Answer>][] = [
    ['see it', [200, 200, 200, 200, 403], (who, project) => who.get(project)],
    ['see its members', [200, 200, 200, 200, 403], (who, project) => who.get(`${project}/members`)],
    [
      'rename it',
      [403, 403, 200, 200, 403],
      (who, project) => who.put(project, { name: uniqueName('News') })
    ],
    [
      'add a member',
      [403, 403, 201, 201, 403],
      (who, project) => who.post(`${project}/members`, { email, role: 'admin' })
    ],
    [
      'change a member',
      [403, 403, 200, 200, 403],
      (who, project) => who.put(memberPath(project, mimi), { role: 'admin' })
    ],
    ['take a member out', [403, 403, 200, 200, 403], (who, project) => who.delete(memberPath(project, mimi))],
    [
      'add an owner',
      [403, 403, 403, 201, 403],
      (who, project) => who.post(`${project}/members`, { email, role: 'owner' })
    ],
    [
      'make an owner',
      [403, 403, 403, 200, 403],
      (who, project) => who.put(memberPath(project, mimi), { role: 'owner' })
    ],
    [
      'take a stranger out',
      [403, 403, 404, 404, 403],
      (who, project) => who.delete(memberPath(project, nora))
    ],
    ['leave', [200, 200, 200, 409, 403], (who, project) => who.delete(memberPath(project, who))],
    ['delete it', [403, 403, 403, 200, 403], (who, project) => who.delete(project)]
  ]
  const codes: Record<number, string> = { 403: 'forbidden', 404: 'not-found', 409: 'last-owner' }
  for (const [name, expected, act] of acts) {
    for (const [index, [role, who]] of Object.entries(roles).entries()) {
      const project = await newProject()
      const status = expected[index]!
      t.same(
        outcome(await act(who, project)),
        codes[status] ? [status, codes[status]] : [status],
        `${role}: ${name}`
      )
      if (status < 400) continue
      t.same(await rolesIn(project), PEOPLE, `${role}: ${name}: the members are unchanged`)
      t.match((await olga.get(project)).json.name, /^Report/, `${role}: ${name}: the project is unchanged`)
    }
  }
})

t.test('invalid input is refused with its path', async (t) => {
  const project = await newProject()
  const members = `${project}/members`
  const long = 'x'.repeat(2001)
  const email = nora.person.email
  const cases: [string, Answer, string, string][] = [
    ['no name', await olga.post(PROJECTS, {}), '/body/name', 'required'],
    ['an empty name', await olga.post(PROJECTS, { name: '' }), '/body/name', 'too-short'],
    ['a long name', await olga.post(PROJECTS, { name: 'x'.repeat(201) }), '/body/name', 'too-long'],
    [
      'a long description',
      await olga.post(PROJECTS, { name: 'P', description: long }),
      '/body/description',
      'too-long'
    ],
    [
      'a property of the answer',
      await olga.post(PROJECTS, { name: 'P', id: randomUUID() }),
      '/body',
      'unknown-property'
    ],
    ['a name of null', await olga.put(project, { name: null }), '/body/name', 'wrong-type'],
    ['a role of one’s own', await olga.put(project, { role: 'owner' }), '/body', 'unknown-property'],
    [
      'a stranger',
      await olga.post(members, { email: 'x@example.org', role: 'viewer' }),
      '/body/email',
      'unknown-user'
    ],
    ['no e-mail', await olga.post(members, { role: 'viewer' }), '/body/email', 'required'],
    ['no role', await olga.post(members, { email }), '/body/role', 'required'],
    ['an unknown role', await olga.post(members, { email, role: 'root' }), '/body/role', 'not-allowed'],
    ['no new role', await olga.put(memberPath(project, vera), {}), '/body/role', 'required']
  ]
  for (const [name, answer, path, code] of cases) {
    t.same(outcome(answer), [400, 'validation-failed'], name)
    t.match(answer.json.errors, [{ path, code }], name)
    t.notMatch(answer.text, /x@example|root|xxx/, name)
  }
  t.same(await rolesIn(project), PEOPLE)
})

t.test('a malformed or unknown id is not found', async (t) => {
  const project = await newProject()
  for (const id of ['1', `${randomUUID()}0`, '%25', randomUUID()]) {
    const path = `${PROJECTS}/${id}`
    const answers = [
      await olga.get(path),
      await olga.put(path, {}),
      await olga.delete(path),
      await olga.get(`${path}/members`),
      await olga.post(`${path}/members`, { email: nora.person.email, role: 'viewer' }),
      await olga.put(memberPath(path, olga), { role: 'viewer' }),
      await olga.delete(memberPath(path, olga)),
      await olga.put(`${project}/members/${id}`, { role: 'viewer' }),
      await olga.delete(`${project}/members/${id}`)
    ]
    for (const answer of answers) t.same(outcome(answer), [404, 'not-found'], id)
  }
})

t.test('an update keeps absent properties; null clears the description', async (t) => {
  const { json: made } = await olga.post(PROJECTS, { name: 'Report', description: 'Of the day' })
  const path = `${PROJECTS}/${made.id}`
  const renamed = (await olga.put(path, { name: 'News' })).json
  t.same(renamed, { ...made, name: 'News', updatedAt: renamed.updatedAt })
  t.ok(renamed.updatedAt > made.updatedAt)
  t.match((await olga.put(path, { description: null })).json, { name: 'News', description: null })
  t.match((await olga.put(path, {})).json, { name: 'News', description: null })
  t.match((await olga.get(path)).json, { name: 'News', description: null, role: 'owner' })
})

t.test(
  'the list has the projects of the caller with their role, newest first, paged and searchable',
  async (t) => {
    const ann = await service.newUser()
    const ids: string[] = []
    for (const name of ['100%', 'a_b', 'c\\d', 'Ärger'])
      ids.unshift((await ann.post(PROJECTS, { name })).json.id)
    const shared = (await olga.post(PROJECTS, { name: 'Shared' })).json
    await olga.post(`${PROJECTS}/${shared.id}/members`, { email: ann.person.email, role: 'viewer' })
    await olga.post(PROJECTS, { name: 'a_b of somebody else' })

    const all = (await ann.get(PROJECTS)).json
    t.match(all, { total: 5, page: 1, pageSize: 20 })
    t.same(
      all.data.map((one: { id: string }) => one.id),
      [shared.id, ...ids]
    )
    t.same(all.data[0], { ...shared, role: 'viewer' })
    const pages = [1, 2, 3, 4].map((page) => ann.get(`${PROJECTS}?pageSize=2&page=${page}`))
    const paged = (await Promise.all(pages)).map(({ json }) => json)
    t.same(
      paged.flatMap(({ data }) => data),
      all.data
    )
    t.same(
      paged.map(({ total, data }) => [total, data.length]),
      [
        [5, 2],
        [5, 2],
        [5, 1],
        [5, 0]
      ]
    )

    const search = async (text: string) => {
      const { json } = await ann.get(`${PROJECTS}?search=${encodeURIComponent(text)}`)
      return [json.total, ...json.data.map((one: { name: string }) => one.name)]
    }
    for (const [text, ...names] of [
      ['%', '100%'],
      ['_', 'a_b'],
      ['\\', 'c\\d'],
      ['äRG', 'Ärger'],
      ['SHARE', 'Shared'],
      ['a%b'],
      ['', 'Shared', 'Ärger', 'c\\d', 'a_b', '100%']
    ] as string[][]) {
      t.same(await search(text!), [names.length, ...names], `search for "${text}"`)
    }
    for (const query of ['page=0', 'pageSize=0', 'page=x', 'role=owner']) {
      t.same(outcome(await ann.get(`${PROJECTS}?${query}`)), [400, 'validation-failed'], query)
    }
  }
)

t.test('deleting a project removes its members and links but no credential', async (t) => {
  const project = await newProject()
  const { db } = service
  const [type_id, id] = [uuidv7(), uuidv7()]
  const owner_id = eddy.person.id
  const type = { id: type_id, type_name: 'Mail', name_key: 'mail', owner_id }
  await db.insertInto('credential_types').values(type).execute()
  const credential = { id, owner_id, type_id, name: 'Mail', name_key: 'mail' }
  await db.insertInto('credentials').values(credential).execute()
  const link = {
    id: uuidv7(),
    credential_id: id,
    project_id: project.slice(PROJECTS.length + 1),
    assigned_by: null
  }
  await db.insertInto('credential_projects').values(link).execute()

  t.same((await olga.delete(project)).json, { success: true })
  t.same(outcome(await olga.get(project)), [404, 'not-found'])
  t.same(outcome(await olga.delete(project)), [404, 'not-found'])
  const links = await db
    .selectFrom('credential_projects')
    .select('id')
    .where('credential_id', '=', id)
    .execute()
  t.same(links, [])
  const left = await db.selectFrom('credentials').select('owner_id').where('id', '=', id).execute()
  t.same(left, [{ owner_id }])
})

t.test(
  'a retry with the same Idempotency-Key gets the first response, for projects and for members',
  async (t) => {
    const members = `${await newProject()}/members`
    const email = nora.person.email
    const cases: [string, object, object][] = [
      [PROJECTS, { name: 'Once' }, { name: 'Twice' }],
      [members, { email, role: 'viewer' }, { email, role: 'editor' }]
    ]
    const headers = { 'idempotency-key': randomUUID() }
    for (const [path, body, other] of cases) {
      headers['idempotency-key'] = randomUUID()
      const twins = await Promise.all(Array.from({ length: 4 }, () => olga.post(path, body, { headers })))
      t.same(new Set(twins.map(({ status }) => status)), new Set([201]), path)
      t.equal(new Set(twins.map(({ text }) => text)).size, 1, 'the responses are equal')
      t.equal(new Set(twins.map((twin) => twin.headers.get('location'))).size, 1)
      t.equal(twins.filter((twin) => twin.headers.get('idempotency-replayed') === 'true').length, 3)
      t.same(outcome(await olga.post(path, other, { headers })), [422, 'idempotency-key-reused'])
    }
    t.equal((await olga.get(`${PROJECTS}?search=once`)).json.total, 1)
    t.equal(
      (await nora.post(PROJECTS, { name: 'Mine' }, { headers })).json.name,
      'Mine',
      'keys of other callers are separate'
    )
  }
)
