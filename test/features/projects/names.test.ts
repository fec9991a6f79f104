import t, { type Test } from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Client } from '../../helpers/client.ts'
import { addMember } from '../../helpers/fixtures.ts'
import { memberPath, outcome, PROJECTS } from '../../helpers/project-roles.ts'

const service = await startTestApp(t)
const TAKEN = [409, 'name-taken']

async function users(count: number): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => service.newUser()))
}

async function create(t: Test, owner: Client, name: string): Promise<string> {
  const made = await owner.post(PROJECTS, { name })
  t.equal(made.status, 201, `${name} is created`)
  return made.json.id
}

t.test('project names are unique for an owner, in every form', async (t) => {
  const [ann, bob] = (await users(2)) as [Client, Client]
  const id = await create(t, ann, 'Straße')
  for (const name of ['Straße', 'STRASSE', ' stra\u00dfe\u3000', 'Straße\ufe0f'])
    t.same(
      outcome(await ann.post(PROJECTS, { name })).slice(0, 1),
      name.endsWith('\ufe0f') ? [400] : [409],
      name
    )
  const taken = await ann.post(PROJECTS, { name: 'STRASSE' })
  t.same(outcome(taken), TAKEN)
  t.notMatch(taken.text, 'STRASSE', 'input is not echoed')
  await create(t, bob, 'Straße')
  t.equal(
    (await ann.put(`${PROJECTS}/${id}`, { name: 'STRASSE' })).json.name,
    'STRASSE',
    'a project can be renamed to another form of its name'
  )
  t.equal((await ann.delete(`${PROJECTS}/${id}`)).status, 200)
  await create(t, ann, 'Straße')
})

t.test('a rename takes the new name and frees the old one', async (t) => {
  const [ann] = (await users(1)) as [Client]
  const [first, second] = [await create(t, ann, 'First'), await create(t, ann, 'Second')]
  t.same(outcome(await ann.put(`${PROJECTS}/${second}`, { name: 'FIRST' })), TAKEN)
  t.equal((await ann.get(`${PROJECTS}/${second}`)).json.name, 'Second', 'nothing has changed')
  t.equal((await ann.put(`${PROJECTS}/${first}`, { name: 'Third' })).status, 200)
  t.equal((await ann.put(`${PROJECTS}/${second}`, { name: 'First' })).status, 200)
  await create(t, ann, 'Second')
  t.same(outcome(await ann.post(PROJECTS, { name: 'third' })), TAKEN)
})

t.test('one of several concurrent creates or renames succeeds', async (t) => {
  const [ann] = (await users(1)) as [Client]
  const created = await Promise.all(Array.from({ length: 8 }, () => ann.post(PROJECTS, { name: 'Race' })))
  t.same(created.map(({ status }) => status).sort(), [201, ...new Array(7).fill(409)])
  const ids = await Promise.all(Array.from({ length: 4 }, (_, index) => create(t, ann, `Racer ${index}`)))
  const renamed = await Promise.all(ids.map((id) => ann.put(`${PROJECTS}/${id}`, { name: 'Winner' })))
  t.same(renamed.map(({ status }) => status).sort(), [200, 409, 409, 409])
})

t.test('after a rename by another user, the former holder does not hold the name', async (t) => {
  const [ann, adam] = (await users(2)) as [Client, Client]
  const id = await create(t, ann, 'Held')
  await create(t, ann, 'Other')
  await create(t, adam, 'News')
  await addMember(ann, id, adam, 'admin')
  t.same(outcome(await adam.put(`${PROJECTS}/${id}`, { name: 'Other' })), TAKEN)
  t.equal(
    (await adam.put(`${PROJECTS}/${id}`, { name: 'News' })).status,
    200,
    'an admin does not hold the name'
  )
  const body = { credentialName: 'Sent to a name', credentialType: 'api-key', values: { apiKey: 'k' } }
  const sent = await ann.post('/api/v1/app-credentials', { ...body, projects: ['News'] })
  t.match(sent, { status: 409, json: { code: 'ambiguous-name' } })
  for (const name of ['Held', 'News']) await create(t, ann, name)
})

t.test('a user cannot occupy the names of another user', async (t) => {
  const [eve, ann] = (await users(2)) as [Client, Client]
  const id = await create(t, eve, 'Payroll')
  await addMember(eve, id, ann, 'owner')
  const own = await create(t, ann, 'Payroll')
  t.equal((await eve.put(memberPath(`${PROJECTS}/${id}`, eve), { role: 'admin' })).status, 200)
  t.equal((await eve.put(`${PROJECTS}/${id}`, { name: 'Invoices' })).status, 200, 'no one holds the new name')
  await create(t, ann, 'Invoices')
  await create(t, eve, 'Payroll')
  t.same(outcome(await ann.put(`${PROJECTS}/${own}`, { name: 'Invoices' })), TAKEN)
})

t.test('a name is free when its holder leaves, is demoted or is deleted', async (t) => {
  const [ann, bob, cem] = (await users(3)) as [Client, Client, Client]
  const left = await create(t, ann, 'Left')
  await addMember(ann, left, bob, 'owner')
  t.equal((await ann.delete(memberPath(`${PROJECTS}/${left}`, ann))).status, 200)
  await create(t, ann, 'Left')

  const demoted = await create(t, ann, 'Demoted')
  await addMember(ann, demoted, bob, 'owner')
  const membership = memberPath(`${PROJECTS}/${demoted}`, ann)
  t.equal((await bob.put(membership, { role: 'admin' })).status, 200)
  await create(t, ann, 'Demoted')
  t.equal((await bob.put(membership, { role: 'owner' })).status, 200, 'an owner again, without the name')
  t.equal((await ann.put(`${PROJECTS}/${demoted}`, { description: 'x' })).status, 200)
  t.equal(
    (await ann.put(`${PROJECTS}/${demoted}`, { name: 'DEMOTED' })).status,
    200,
    'the project can keep its name'
  )
  t.same(outcome(await ann.put(`${PROJECTS}/${demoted}`, { name: 'Left' })), TAKEN)
  t.equal((await bob.put(`${PROJECTS}/${demoted}`, { name: 'Bobs' })).status, 200, 'bob holds the new name')
  t.same(outcome(await bob.post(PROJECTS, { name: 'Bobs' })), TAKEN)
  await create(t, ann, 'Bobs')

  const orphaned = await create(t, cem, 'Orphaned')
  await addMember(cem, orphaned, bob, 'owner')
  t.equal((await service.admin.delete(`/api/v1/users/${cem.person.id}`)).status, 200)
  t.equal((await bob.get(`${PROJECTS}/${orphaned}`)).json.name, 'Orphaned')
  await create(t, bob, 'Orphaned')
})
