import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Answer, Client } from '../../helpers/client.ts'
import { addMember, uniqueName } from '../../helpers/fixtures.ts'

const service = await startTestApp(t)
const V1 = '/api/v1/app-credentials'
const TOKENS = '/api/v1/access-tokens'
const VALUES = { credentialType: 'api-key', values: { apiKey: 'k' } }
const SCOPES = { name: 'Runner', scopes: ['credentials:resolve'] }

async function users(count: number): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => service.newUser()))
}

async function project(owner: Client, name: string): Promise<string> {
  const made = await owner.post('/api/v1/projects', { name })
  if (made.status !== 201) throw new Error(made.text)
  return made.json.id
}

const create = (who: Client, more: object) =>
  who.post(V1, { credentialName: uniqueName('linked'), ...VALUES, ...more })

const linked = ({ json }: Answer) => json.projects.map((one: { id: string }) => one.id).sort()

/** Returns the requests that accept a project by its name or id. */
async function waysOf(who: Client): Promise<Record<string, (ref: string) => Promise<Answer>>> {
  const { id } = (await create(who, {})).json
  return {
    'a create': (ref) => create(who, { projects: [ref] }),
    'an update': (ref) => who.put(`${V1}/${id}`, { projects: [ref] }),
    'an assignment': (ref) => who.post(`${V1}/${id}/assign-projects`, { projects: [ref] }),
    'a token': (ref) => who.post(TOKENS, { ...SCOPES, project: ref })
  }
}

t.test('a name or an id links to the project', async (t) => {
  const [ann] = (await users(1)) as [Client]
  const [reports, news] = [await project(ann, 'Reports'), await project(ann, 'News')]
  for (const ref of ['Reports', ' REPORTS', reports, reports.toUpperCase()]) {
    t.same(linked(await create(ann, { projects: [ref] })), [reports], ref)
    const made = await ann.post(TOKENS, { ...SCOPES, project: ref })
    t.match(made, { status: 201, json: { projectId: reports } }, ref)
  }
  const { id } = (await create(ann, { projects: ['Reports', news] })).json
  t.same(linked(await ann.put(`${V1}/${id}`, { projects: ['News'] })), [news])
  const assigned = await ann.post(`${V1}/${id}/assign-projects`, { projects: ['Reports'] })
  t.match(assigned.json, [{ projectId: reports }])
  t.same((await ann.post(`${V1}/${id}/assign-projects`, { projects: [] })).json, [])
  const { data } = (await ann.get(`/api/v1/audit-events?credentialId=${id}&action=credential.updated`)).json
  t.same(data[0].details.changed, ['projectIds'], 'the audit log uses the same word for both')
})

t.test('a retry by name gets the first response, even if the project was renamed', async (t) => {
  const [ann] = (await users(1)) as [Client]
  const id = await project(ann, 'Before')
  const body = { credentialName: uniqueName('retried'), ...VALUES, projects: ['Before'] }
  const token = { ...SCOPES, project: 'Before' }
  const key = (name: string) => ({ headers: { 'idempotency-key': name } })
  const once = async () => [
    await ann.post(V1, body, key('credential')),
    await ann.post(TOKENS, token, key('token'))
  ]
  const first = await once()
  t.same(
    first.map(({ status }) => status),
    [201, 201]
  )
  t.equal((await ann.put(`/api/v1/projects/${id}`, { name: 'After' })).status, 200)
  const second = await once()
  t.same(
    second.map(({ json }) => json),
    first.map(({ json }) => json)
  )
  for (const { headers } of second) t.equal(headers.get('idempotency-replayed'), 'true')
})

t.test('a retry returns the token of a project only to its admins', async (t) => {
  const [ann, bob] = (await users(2)) as [Client, Client]
  const id = await project(ann, 'Handed over')
  await addMember(ann, id, bob, 'owner')
  const member = `/api/v1/projects/${id}/members/${ann.person.id}`
  const refs = {
    byName: { project: 'Handed over' },
    byId: { project: id },
    asProjectId: { projectId: id }
  }
  const retry = () =>
    Promise.all(
      Object.entries(refs).map(([key, ref]) =>
        ann.post(TOKENS, { ...SCOPES, ...ref }, { headers: { 'idempotency-key': key } })
      )
    )
  const statuses = async () => (await retry()).map(({ status }) => status)
  t.same(await statuses(), [201, 201, 201])
  t.equal((await bob.put(member, { role: 'admin' })).status, 200)
  t.same(await statuses(), [201, 201, 201], 'an admin')
  t.equal((await bob.put(member, { role: 'editor' })).status, 200)
  t.same(await statuses(), [403, 403, 403], 'an editor')
  t.equal((await bob.delete(member)).status, 200)
  t.same(await statuses(), [403, 403, 403], 'not a member')
})

t.test('a project of others looks like an unknown one', async (t) => {
  const [ann, bob] = (await users(2)) as [Client, Client]
  await project(bob, 'Secret plans')
  const body = ({ status, json: { requestId, ...rest } }: Answer) => [status, rest]
  for (const [what, send] of Object.entries(await waysOf(ann))) {
    const hidden = await send('Secret plans')
    t.equal(hidden.status, 404, what)
    t.same(body(hidden), body(await send('No such project')), `${what}: like an unknown name`)
    t.same(body(hidden), body(await send(randomUUID())), `${what}: like an unknown id`)
    t.notMatch(hidden.text, 'Secret', `${what}: input is not echoed`)
  }
})

t.test('users who are added to a project do not link to it by name', async (t) => {
  const [ann, eve] = (await users(2)) as [Client, Client]
  const trap = await project(eve, 'Ledger')
  const own = await project(ann, 'Accounts')
  for (const role of ['viewer', 'editor', 'admin', 'owner']) {
    await addMember(eve, trap, ann, role)
    for (const [what, send] of Object.entries(await waysOf(ann))) {
      const answer = await send('Ledger')
      t.match(answer, { status: 409, json: { code: 'ambiguous-name' } }, `${role}: ${what}`)
      t.notMatch(answer.text, trap)
    }
    t.equal((await eve.delete(`/api/v1/projects/${trap}/members/${ann.person.id}`)).status, 200)
  }
  await addMember(eve, trap, ann, 'editor')
  t.equal((await create(ann, { projects: [trap] })).status, 201, 'by its id, with a sufficient role')
  t.equal(
    (await ann.post(TOKENS, { ...SCOPES, projectId: trap })).status,
    403,
    'tokens require the role admin'
  )

  t.same(linked(await create(ann, { projects: ['Accounts'] })), [own])
  t.equal((await eve.put(`/api/v1/projects/${trap}`, { name: 'Accounts' })).status, 200)
  t.same(linked(await create(ann, { projects: ['Accounts'] })), [own])
  t.equal((await ann.put(`/api/v1/projects/${own}`, { name: 'Accounts 2025' })).status, 200)
  t.match((await create(ann, { projects: ['Accounts'] })).json, { code: 'ambiguous-name' })
})

t.test('a second project with the same name is never used instead of the first', async (t) => {
  const [ann, eve] = (await users(2)) as [Client, Client]
  const own = await project(ann, 'Payroll')
  const trap = await project(eve, 'PAYROLL')
  const ways = await waysOf(ann)
  t.equal((await ways['a create']!('Payroll')).status, 201)
  for (const role of ['viewer', 'editor', 'admin']) {
    await addMember(eve, trap, ann, role)
    t.same(linked(await create(ann, { projects: ['Payroll'] })), [own], `${role}: her project is used`)
    t.equal((await eve.delete(`/api/v1/projects/${trap}/members/${ann.person.id}`)).status, 200)
  }
  for (const role of ['owner']) {
    await addMember(eve, trap, ann, role)
    for (const [what, send] of Object.entries(ways)) {
      const answer = await send('Payroll')
      t.match(answer, { status: 409, json: { code: 'ambiguous-name' } }, `${role}: ${what}`)
      const path = what === 'a token' ? '/body/project' : '/body/projects/0'
      t.match(answer.json.errors, [{ path, code: 'ambiguous-name' }])
      t.notMatch(answer.text, trap)
      t.ok((await send(own)).status < 300, `${role}: ${what}: the id still works`)
    }
    t.equal((await eve.delete(`/api/v1/projects/${trap}/members/${ann.person.id}`)).status, 200)
  }
  t.same(linked(await create(ann, { projects: ['Payroll'] })), [own])
  await addMember(eve, trap, ann, 'editor')
  t.equal((await ann.delete(`/api/v1/projects/${trap}/members/${ann.person.id}`)).status, 200)
  t.same(linked(await create(ann, { projects: ['Payroll'] })), [own], 'after leaving the other project')
})

t.test('for a viewer of one project and an editor of another, their shared name is ambiguous', async (t) => {
  const [ann, vera, eve] = (await users(3)) as [Client, Client, Client]
  await addMember(ann, await project(ann, 'Invoices'), vera, 'viewer')
  await addMember(eve, await project(eve, 'Invoices'), vera, 'editor')
  t.match((await create(vera, { projects: ['Invoices'] })).json, { code: 'ambiguous-name' })
})

t.test('a name that is a UUID is an id', async (t) => {
  const [ann] = (await users(1)) as [Client]
  const name = randomUUID()
  await project(ann, name)
  t.equal((await create(ann, { projects: [name] })).status, 404)
  const other = await project(ann, 'Other')
  await project(ann, other)
  t.same(linked(await create(ann, { projects: [other] })), [other], 'the id takes precedence')
})

t.test('invalid input is refused', async (t) => {
  const [ann] = (await users(1)) as [Client]
  const id = await project(ann, 'Fits')
  const refused = async (t: Test, body: object, path: string, code: string) =>
    t.match(
      await create(ann, body),
      { status: 400, json: { errors: [{ path, code }] } },
      JSON.stringify(body)
    )
  await refused(t, { projects: ['Fits', 'FITS '] }, '/body/projects', 'repeated')
  await refused(t, { projects: ['Fits', id] }, '/body/projects', 'repeated')
  await refused(t, { projects: [''] }, '/body/projects/0', 'too-short')
  await refused(t, { projects: [null] }, '/body/projects/0', 'wrong-type')
  await refused(t, { projects: 'Fits' }, '/body/projects', 'wrong-type')
  await refused(t, { projects: new Array(101).fill('Fits') }, '/body/projects', 'too-many')
  await refused(t, { projects: ['Fits'], projectIds: [id] }, '/body', 'one-of')
  const { id: credential } = (await create(ann, {})).json
  const assign = (body: object) => ann.post(`${V1}/${credential}/assign-projects`, body)
  t.match(await assign({}), {
    status: 400,
    json: { errors: [{ path: '/body/projectIds', code: 'required' }] }
  })
  t.match(await assign({ projects: [], projectIds: [] }), {
    status: 400,
    json: { errors: [{ code: 'one-of' }] }
  })
  const both = await ann.post(TOKENS, { ...SCOPES, project: 'Fits', projectId: id })
  t.match(both, { status: 400, json: { errors: [{ path: '/body', code: 'one-of' }] } })
  t.equal(
    (await ann.post(TOKENS, { ...SCOPES, project: '\u200b' })).status,
    404,
    'a name that folds to nothing'
  )
})

t.test('a membership that ends concurrently causes no server error', async (t) => {
  const [ann, eddy] = (await users(2)) as [Client, Client]
  const id = await project(ann, 'Race')
  for (let round = 0; round < 5; round++) {
    await addMember(ann, id, eddy, 'editor')
    const [made, removed] = await Promise.all([
      create(eddy, { projects: [id] }),
      ann.delete(`/api/v1/projects/${id}/members/${eddy.person.id}`)
    ])
    t.equal(removed.status, 200)
    t.ok([201, 403, 404].includes(made.status), `${made.status}`)
  }
})
