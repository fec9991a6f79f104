import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Client } from '../../helpers/client.ts'
import { addMember, newCredential, newProject, newType } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'

const path = '/api/v1/app-credentials'
type Item = { id: string; keys: { keyValue?: unknown }[]; projects: { id: string }[] }

t.test('lists have the same content as reads, without values', async (t) => {
  const service = await startTestApp(t)
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const odd = `" ' \\ é 🔑 {"id":"`
  const types = [await newType(ann), await newType(ann)]
  const projects = [await newProject(ann), await newProject(ann), await newProject(ann)]
  await ann.put(`/api/v1/projects/${projects[1]}`, { name: `Z ${odd}` })
  await ann.put(`/api/v1/projects/${projects[2]}`, { name: `A ${odd}` })
  await addMember(ann, projects[0]!, bob, 'viewer')
  await addMember(ann, projects[1]!, bob, 'viewer')
  for (let i = 0; i < 12; i++) {
    const type = types[i % 2]!
    const { id } = await newCredential(ann, type, {
      credentialName: `${i} ${odd}`,
      ...(i % 3 === 0 && { description: `line\n\t\u001e\u2028 ${odd}` }),
      ...(i % 4 === 0 && { expiresAt: `2099-01-02T03:04:05${['', '.6', '.078', '.009123'][i / 4]}Z` }),
      projectIds: projects.filter((_, n) => (i >> n) & 1)
    })
    const own = `${path}/${id}`
    for (const environment of ['staging', 'production', 'abc'].slice(0, i % 4)) {
      const keys = [
        { fieldId: type.field['host'], keyValue: 'h' },
        { fieldId: type.field['password'], keyValue: 'p' },
        { fieldId: type.field['note'], keyValue: 'n' }
      ]
      t.equal((await ann.put(`${own}/environments/${environment}`, { keys })).status, 200)
    }
    if (i % 5 === 0) await ann.put(own, { keys: [{ fieldId: type.field['note'], keyValue: 'n' }] })
    for (let usage = 0; usage < i % 3; usage++) await ann.put(`${own}/usages/workflow:${usage}`)
  }

  const withoutValues = (one: Item) => ({ ...one, keys: one.keys.map(({ keyValue: _, ...key }) => key) })
  async function areAsRead(client: Client, name: string, items: Item[], count: number) {
    t.equal(items.length, count, name)
    for (const item of items)
      t.strictSame(item, withoutValues((await client.get(`${path}/${item.id}`)).json), name)
  }
  await areAsRead(ann, 'all', (await ann.get(path)).json.data, 12)
  await areAsRead(ann, 'a page', (await ann.get(`${path}?page=2&pageSize=5`)).json.data, 5)
  await areAsRead(ann, 'by type', (await ann.get(`${path}?credentialTypeId=${types[1]!.id}`)).json.data, 6)
  await areAsRead(ann, 'a search', (await ann.get(`${path}?search=1%20%22`)).json.data, 2)
  for (const [n, project] of projects.entries()) {
    await areAsRead(
      ann,
      `of project ${n}`,
      (await ann.get(`${path}/by-project/${project}`)).json,
      6 - Number(n === 2) * 2
    )
  }
  const seen = (await bob.get(`${path}/by-project/${projects[1]}`)).json as Item[]
  await areAsRead(bob, 'of a project, for another member', seen, 6)
  t.notOk(JSON.stringify(seen).includes(projects[2]!), 'projects of others are not shown')

  const machine = await newToken(ann, ['credentials:read'], { projectId: projects[1]! })
  for (const one of (await machine.get(`${path}/by-project/${projects[1]}`)).json as Item[]) {
    t.same(
      one.projects.map((project) => project.id),
      [projects[1]],
      'a project token sees only its project'
    )
  }
})
