import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Answer, Client } from '../../helpers/client.ts'
import { eventually } from '../../helpers/eventually.ts'
import { addMember, newCredential, newCredentialBody, newProject, newType } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'

const path = '/api/v1/app-credentials'
const service = await startTestApp(t, { LOG_LEVEL: 'warn' })

t.test('a link that concurrent requests remove is removed and recorded once', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const project = await newProject(bob)
  await addMember(bob, project, ann, 'editor')
  for (let round = 0; round < 5; round++) {
    const { id } = await newCredential(ann, type, { projectIds: [project] })
    const answers = await Promise.all(
      Array.from({ length: 3 }, () => bob.delete(`${path}/by-project/${project}/${id}`))
    )
    t.same(answers.map(({ status }) => status).sort(), [200, 404, 404])
    t.equal((await ann.get(`${path}/${id}`)).json.revision, 2)
    const { data } = (await ann.get(`/api/v1/audit-events?credentialId=${id}`)).json
    t.equal(data.filter(({ action }: { action: string }) => action === 'credential.unlinked').length, 1)
  }
})

t.test('the deletion of a project is recorded for every linked credential', async (t) => {
  const ann = await service.newUser()
  const type = await newType(ann)
  for (let round = 0; round < 5; round++) {
    const project = await newProject(ann)
    const ids = []
    for (let i = 0; i < 4; i++) ids.push((await newCredential(ann, type)).id as string)
    await Promise.all([
      ...ids.map((id) => ann.post(`${path}/${id}/assign-projects`, { projectIds: [project] })),
      ann.delete(`/api/v1/projects/${project}`)
    ])
    for (const id of ids) {
      t.same((await ann.get(`${path}/${id}`)).json.projects, [])
      const { data } = (await ann.get(`/api/v1/audit-events?credentialId=${id}`)).json
      const count = (what: string) =>
        data.filter(({ action }: { action: string }) => action === `credential.${what}`).length
      t.equal(count('unlinked'), count('linked'))
    }
  }
})

t.test('a role that ends while a link waits for its project does not allow the link', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const project = await newProject(bob)
  for (const [name, end] of [
    ['removed', sql`delete from project_members where user_id = ${ann.person.id}`],
    ['made a viewer', sql`update project_members set role = 'viewer' where user_id = ${ann.person.id}`]
  ] as const) {
    await addMember(bob, project, ann, 'editor')
    const { id } = await newCredential(ann, type)
    const projectIds = [project]
    // Takes the same locks as a change of a member: first the project, then the membership.
    const waiting = await service.db.transaction().execute(async (trx) => {
      await sql`select id from projects where id = ${project} for update`.execute(trx)
      const requests = Promise.all([
        ann.post(`${path}/${id}/assign-projects`, { projectIds }),
        ann.put(`${path}/${id}`, { projectIds }),
        ann.post(path, newCredentialBody(type, { projectIds }))
      ])
      await eventually(async () => {
        const { rows } = await sql`select 1 from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`.execute(service.db)
        return rows.length >= 2
      }, 'the requests wait')
      await end.execute(trx)
      return { requests }
    })
    const answers = await waiting.requests
    t.same(
      answers.map(({ status }) => status),
      [403, 403, 403],
      name
    )
    t.same((await ann.get(`${path}/${id}`)).json.projects, [])
    t.same((await bob.get(`${path}/by-project/${project}`)).json, [])
    await sql`delete from project_members where user_id = ${ann.person.id}`.execute(service.db)
  }
})

t.test('a usage that waits for a transfer is recorded for the new owner', async (t) => {
  const [ann, bob, carl] = [await service.newUser(), await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const project = await newProject(carl)
  await addMember(carl, project, ann, 'editor')
  const { id } = await newCredential(ann, type, { projectIds: [project] })
  const machine = await newToken(carl, ['usages:write'], { projectId: project })
  const usage = `${path}/${id}/usages/job`
  const cases: [string, Client, Client, () => Promise<Answer>][] = [
    ['usage.added', ann, bob, () => machine.put(usage)],
    ['usage.removed', bob, ann, () => machine.delete(usage)]
  ]
  for (const [action, before, after, act] of cases) {
    const waiting = await service.db.transaction().execute(async (trx) => {
      await sql`select id from credentials where id = ${id} for update`.execute(trx)
      const answer = act()
      await eventually(async () => {
        const { rows } = await sql`select 1 from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`.execute(service.db)
        return rows.length > 0
      }, 'the request waits')
      await sql`update credentials set owner_id = ${after.person.id} where id = ${id}`.execute(trx)
      return { answer }
    })
    t.equal((await waiting.answer).status, 200)
    const seenBy = async (who: Client) =>
      (await who.get(`/api/v1/audit-events?credentialId=${id}&action=${action}`)).json.data.length
    t.same([await seenBy(before), await seenBy(after)], [0, 1], action)
  }
})

t.test('a change that waits for the end of its session or token is refused', async (t) => {
  const endSession = ({ person }: Client) => sql`delete from sessions where user_id = ${person.id}`
  const revoke = ({ person }: Client) =>
    sql`update access_tokens set revoked_at = now() where user_id = ${person.id}`
  for (const [name, end] of [
    ['session', endSession],
    ['token', revoke]
  ] as const) {
    const user = await service.newUser()
    const type = await newType(user)
    const { id } = await newCredential(user, type)
    const ann = name === 'token' ? await newToken(user, ['credentials:write']) : user
    const waiting = await service.db.transaction().execute(async (trx) => {
      await end(user).execute(trx)
      const requests = Promise.all([
        ann.post(path, newCredentialBody(type)),
        ann.put(`${path}/${id}`, { description: 'changed' })
      ])
      await eventually(async () => {
        const { rows } = await sql`select 1 from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`.execute(service.db)
        return rows.length === 2
      }, 'the requests wait')
      return { requests }
    })
    const answers = await waiting.requests
    t.same(
      answers.map(({ status }) => status),
      [401, 401],
      name
    )
  }
})

t.test('concurrent changes of a credential are serialized, with one revision each', async (t) => {
  const ann = await service.newUser()
  const type = await newType(ann)
  const { id } = await newCredential(ann, type)
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      ann.put(
        `${path}/${id}`,
        i % 2
          ? { description: `change ${i}` }
          : { keys: [{ fieldId: type.field['host'], keyValue: `host ${i}` }] }
      )
    )
  )
  t.same(
    answers.map(({ json }) => json.revision).sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i + 2)
  )
  t.equal((await ann.post(`${path}/${id}/reveal`, {})).status, 200)
})

t.test('a credential has at most 32 environments, in both APIs', async (t) => {
  const ann = await service.newUser()
  const bodies = Array.from({ length: 32 }, (_, i) => ({ name: `e${i}`, body: { a: 1 } }))
  const create = (name: string, more: object) =>
    ann.post('/api/credentials', { name, credential_bodies: bodies, ...more })
  t.equal((await create('many', { body: { a: 1 } })).status, 422)
  const { status, json } = await create('enough', {})
  t.equal(status, 201)
  const { keys } = (await ann.get(`${path}/${json.credential.id}`)).json
  const update = { keys: [{ fieldId: keys[0].fieldId, keyValue: { a: 2 } }] }
  t.equal((await ann.put(`${path}/${json.credential.id}`, update)).status, 409)
})
