import { setTimeout as delay } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'
import t from 'tap'
import type { Tables } from '../../../src/db/tables.ts'
import type { Answer, Client } from '../../helpers/client.ts'
import { uniqueName } from '../../helpers/fixtures.ts'
import { memberPath, outcome, PEOPLE, PROJECTS, startWithRoles } from '../../helpers/project-roles.ts'

const { service, olga, adam, vera, mimi, nora, newProject, rolesIn } = await startWithRoles(t)

t.test('administrators of the service have no role in a project', async (t) => {
  const project = await newProject()
  t.same(outcome(await service.admin.get(project)), [403, 'forbidden'])
  t.same(outcome(await service.admin.delete(project)), [403, 'forbidden'])
})

t.test('only owners change and remove owners', async (t) => {
  const project = await newProject()
  t.same(outcome(await adam.put(memberPath(project, olga), { role: 'viewer' })), [403, 'forbidden'])
  t.same(outcome(await adam.put(memberPath(project, olga), { role: 'owner' })), [403, 'forbidden'])
  t.same(outcome(await adam.delete(memberPath(project, olga))), [403, 'forbidden'])
  t.same(await rolesIn(project), PEOPLE)

  t.equal((await olga.put(memberPath(project, mimi), { role: 'owner' })).json.role, 'owner')
  t.equal((await mimi.put(memberPath(project, olga), { role: 'viewer' })).json.role, 'viewer')
  t.same(await rolesIn(project), { ...PEOPLE, Olga: 'viewer', Mimi: 'owner' })
})

t.test('the last owner can neither leave nor be demoted', async (t) => {
  const project = await newProject()
  t.same(outcome(await olga.delete(memberPath(project, olga))), [409, 'last-owner'])
  t.same(outcome(await olga.put(memberPath(project, olga), { role: 'admin' })), [409, 'last-owner'])
  t.equal((await olga.put(memberPath(project, olga), { role: 'owner' })).status, 200)
  t.equal((await olga.put(memberPath(project, mimi), { role: 'owner' })).status, 200)
  t.same((await olga.delete(`${project}/members/${olga.person.id.toUpperCase()}`)).json, { success: true })
  t.same(outcome(await mimi.delete(memberPath(project, mimi))), [409, 'last-owner'])
  t.same(outcome(await olga.get(project)), [403, 'forbidden'])
})

t.test('a member is added by e-mail address and has access at once', async (t) => {
  const project = await newProject()
  const email = nora.person.email.toUpperCase()
  const added = await adam.post(`${project}/members`, { email, role: 'editor' })
  t.equal(added.status, 201)
  t.equal(added.headers.get('location'), memberPath(project, nora))
  t.match(added.json, { userId: nora.person.id, email: nora.person.email, name: 'Nora', role: 'editor' })
  t.match((await nora.get(project)).json, { role: 'editor' })
  t.same((await nora.get(`${project}/members`)).json.data.at(-1), added.json, 'the newest member comes last')
  t.same(outcome(await adam.post(`${project}/members`, { email, role: 'viewer' })), [409, 'already-member'])
  t.same(outcome(await adam.put(memberPath(project, nora), { role: 'viewer' })), [200])
  t.match((await nora.get(project)).json, { role: 'viewer' })
  t.same(outcome(await adam.delete(memberPath(project, nora))), [200])
  t.same(outcome(await nora.get(project)), [403, 'forbidden'])
  t.same(outcome(await adam.put(memberPath(project, nora), { role: 'viewer' })), [404, 'not-found'])
})

const countOwners = async (project: string) =>
  Object.values(await rolesIn(project)).filter((role) => role === 'owner').length

t.test('owners who leave concurrently leave an owner', async (t) => {
  const ways: [string, (by: Client, other: Client, project: string) => Promise<Answer>][] = [
    ['leaving', (by, _, project) => by.delete(memberPath(project, by))],
    ['demoting themselves', (by, _, project) => by.put(memberPath(project, by), { role: 'viewer' })],
    ['removing each other', (by, other, project) => by.delete(memberPath(project, other))],
    ['demoting each other', (by, other, project) => by.put(memberPath(project, other), { role: 'viewer' })]
  ]
  for (let round = 0; round < 5; round++) {
    for (const [name, act] of ways) {
      const project = await newProject()
      await olga.put(memberPath(project, mimi), { role: 'owner' })
      const answers = await Promise.all([act(olga, mimi, project), act(mimi, olga, project)])
      t.equal(
        answers.filter(({ status }) => status === 200).length,
        1,
        `${name}: ${answers.map(outcome).join(' / ')}`
      )
      t.equal(await countOwners(project), 1, name)
    }
  }
})

t.test('an owner who leaves while the account of the other one is deleted leaves an owner', async (t) => {
  for (let round = 0; round < 8; round++) {
    const project = await newProject()
    const ann = await service.newUser()
    await olga.post(`${project}/members`, { email: ann.person.email, role: round % 2 ? 'viewer' : 'owner' })
    const leave = async () => {
      if (round % 2) await olga.put(memberPath(project, ann), { role: 'owner' })
      return olga.delete(memberPath(project, olga))
    }
    await Promise.all([service.admin.delete(`/api/v1/users/${ann.person.id}`), leave()])
    t.ok((await countOwners(project)) > 0)
  }
})

/** Sends a request that waits for the lock of the project, and makes a change before it continues. */
async function whileWaiting(
  project: string,
  request: () => Promise<Answer>,
  change: (trx: Kysely<Tables>, id: string) => Promise<unknown>
) {
  const id = project.slice(PROJECTS.length + 1)
  const { db } = service
  const waiting = sql`select 1 from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  let answer: Promise<Answer> | undefined
  await db.transaction().execute(async (trx) => {
    await trx.selectFrom('projects').select('id').where('id', '=', id).forUpdate().execute()
    answer = request()
    while ((await waiting.execute(db)).rows.length === 0) await delay(5)
    await change(trx, id)
  })
  return answer!
}

const setRole =
  ({ person }: Client, role: 'admin' | 'viewer') =>
  (trx: Kysely<Tables>, id: string) =>
    trx
      .updateTable('project_members')
      .set({ role })
      .where('project_id', '=', id)
      .where('user_id', '=', person.id)
      .execute()

t.test('a role that is lost between the guard and the change no longer counts', async (t) => {
  const { email } = nora.person
  const cases: [string, Client, 'admin' | 'viewer', (project: string) => Promise<Answer>][] = [
    ['adding', adam, 'viewer', (project) => adam.post(`${project}/members`, { email, role: 'viewer' })],
    ['changing', adam, 'viewer', (project) => adam.put(memberPath(project, vera), { role: 'editor' })],
    ['removing', adam, 'viewer', (project) => adam.delete(memberPath(project, vera))],
    ['renaming', adam, 'viewer', (project) => adam.put(project, { name: uniqueName('Renamed') })],
    [
      'adding an owner',
      olga,
      'admin',
      (project) => olga.post(`${project}/members`, { email, role: 'owner' })
    ],
    ['making an owner', olga, 'admin', (project) => olga.put(memberPath(project, vera), { role: 'owner' })]
  ]
  for (const [name, who, role, act] of cases) {
    const project = await newProject()
    await olga.put(memberPath(project, mimi), { role: 'owner' })
    const answer = await whileWaiting(project, () => act(project), setRole(who, role))
    t.same(outcome(answer), [403, 'forbidden'], name)
    const roles = { ...PEOPLE, Mimi: 'owner', [who === adam ? 'Adam' : 'Olga']: role }
    t.same(await rolesIn(project, mimi), roles, `${name}: nothing else has changed`)
    t.match((await mimi.get(project)).json, { name: /^Report/ }, name)
  }
})

t.test('an owner who becomes the last one while leaving stays', async (t) => {
  const project = await newProject()
  await olga.put(memberPath(project, mimi), { role: 'owner' })
  const leave = () => olga.delete(memberPath(project, olga))
  t.same(outcome(await whileWaiting(project, leave, setRole(mimi, 'viewer'))), [409, 'last-owner'])
})

t.test('an owner who renames a project back during another rename holds its name', async (t) => {
  const project = await newProject()
  const { name } = (await olga.get(project)).json
  await olga.put(memberPath(project, mimi), { role: 'owner' })
  const other = uniqueName('Other')
  const rename = () => mimi.put(project, { name })
  const answer = await whileWaiting(project, rename, (trx, id) =>
    trx.updateTable('projects').set({ name: other, name_key: other }).where('id', '=', id).execute()
  )
  t.equal(answer.status, 200)
  t.same(outcome(await mimi.post(PROJECTS, { name })), [409, 'name-taken'])
  t.same(outcome(await olga.post(PROJECTS, { name })), [201])
})
