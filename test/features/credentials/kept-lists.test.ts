// Pages of lists are kept, and given again as long as the owner's mark is what it was.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Client } from '../../helpers/client.ts'
import { addMember, newCredential, newProject, newType } from '../../helpers/fixtures.ts'
import { startReplica } from '../../helpers/replica.ts'
import { watchStatements } from '../../helpers/statements.ts'
import { newToken } from '../../helpers/tokens.ts'

const path = '/api/v1/app-credentials'
const isPage = (text: string) => text.includes('string_agg')

t.test('nothing that a list shows changes without the list', async (t) => {
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
    ['one is renamed', () => ann.put(own, { credentialName: 'credential renamed' })],
    ['one is described', () => ann.put(own, { description: 'd' })],
    ['one comes to an end', () => ann.put(own, { expiresAt: '2100-01-01T00:00:00.000Z' })],
    ['one has a value more', () => ann.put(own, { keys: [{ fieldId: note, keyValue: 'n' }] })],
    ['one has a value less', () => ann.put(own, { keys: [{ fieldId: note, keyValue: null }] })],
    ['one has an environment more', () => ann.put(`${own}/environments/staging`, { keys: values })],
    ['one has an environment less', () => ann.delete(`${own}/environments/staging`)],
    ['its owner uses one', () => ann.put(`${own}/usages/workflow:1`)],
    ['its owner uses it no more', () => ann.delete(`${own}/usages/workflow:1`)],
    ['a machine uses one', () => machine.put(`${own}/usages/workflow:2`)],
    ['a machine uses it no more', () => machine.delete(`${own}/usages/workflow:2`)],
    ['one goes to no project', () => ann.post(`${own}/assign-projects`, { projectIds: [] })],
    ['one goes to projects', () => ann.put(own, { projectIds: [project, shared] })],
    ['an admin takes one out of a project', () => bob.delete(`${path}/by-project/${shared}/${one.id}`)],
    ['one goes there again', () => ann.put(own, { projectIds: [project, shared] })],
    ['a project is renamed', () => bob.put(`/api/v1/projects/${shared}`, { name: 'renamed' })],
    ['she is no member any more', () => bob.delete(`/api/v1/projects/${shared}/members/${ann.person.id}`)],
    [
      'she is one again',
      () => bob.post(`/api/v1/projects/${shared}/members`, { email: ann.person.email, role: 'viewer' })
    ],
    ['a project is deleted', () => bob.delete(`/api/v1/projects/${shared}`)],
    [
      'a type is renamed',
      () => ann.put(`/api/v1/credential-types/${type.id}`, { typeName: `of ${type.id}` })
    ],
    [
      'a type has a field more',
      () =>
        ann.put(`/api/v1/credential-types/${type.id}`, {
          fields: [...fields, { fieldName: 'more', fieldLabel: 'More', fieldType: 'text', required: false }]
        })
    ],
    [
      'one is made',
      () => ann.post(path, { credentialName: 'credential 4', credentialTypeId: type.id, keys: values })
    ],
    ['one is given away', () => ann.post(`${path}/${two.id}/transfer`, { email: bob.person.email })],
    ['one is given back', () => bob.post(`${path}/${two.id}/transfer`, { email: ann.person.email })],
    ['one is deleted', () => ann.delete(`${path}/${three.id}`)],
    [
      'one is made by the other contract',
      async () => {
        const answer = await lightning({ name: 'credential 5', schema: 'raw', body: { a: 1 } })
        made = answer.json.credential?.id
        return answer
      }
    ],
    ['one is deleted by it', () => ann.delete(`/api/credentials/${made}`)]
  ]

  // What is searched for is never kept; all of them have this in their names.
  const read = async (client: Client, query: string) => (await client.get(`${path}${query}`)).json
  const queries = ['', '?pageSize=2', '?page=2&pageSize=2', `?credentialTypeId=${type.id}`]
  const seen = watchStatements(t)
  for (const [what, change] of changes) {
    for (const query of queries) {
      await read(ann, query)
      seen.sent.length = 0
      await read(ann, query)
      t.equal(seen.sent.filter(isPage).length, 0, `${query} is kept until ${what}`)
    }
    const before = await read(ann, '')
    t.match(await change(), { status: /^20/ }, what)
    t.notSame(await read(ann, ''), before, what)
    for (const query of queries) {
      const fresh = await read(ann, `${query === '' ? '?' : `${query}&`}search=credential`)
      t.strictSame(await read(ann, query), fresh, `${query}: ${what}`)
    }
  }
})

t.test('whatever a page is read from has a mark', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const ann = await service.newUser()
  const seen = watchStatements(t)
  await ann.get(path)
  const names = seen.sent
    .filter(isPage)
    .flatMap((text) => [...text.matchAll(/\b(?:from|join)\s+"?([a-z_]+)/g)].map((found) => found[1]!))
  const { rows } = await sql<{ name: string; marked: boolean }>`
    select c.relname as name, exists (select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
      where g.tgrelid = c.oid and p.prosrc like '%insert into list_marks%') as marked
    from pg_class c where c.relkind = 'r' and c.relname = any(${names})
    order by 1`.execute(service.db)
  const marked = rows.filter((row) => row.marked).map((row) => row.name)
  const others = rows.filter((row) => !row.marked).map((row) => row.name)
  t.strictSame(marked, [
    'credential_projects',
    'credential_types',
    'credential_usages',
    'credentials',
    'project_members',
    'projects'
  ])
  // The first two do not change but with their credential's revision, nor the totals but with credentials.
  t.strictSame(others, ['credential_environments', 'credential_keys', 'credential_totals', 'list_marks'])
})

t.test('two changes at once, of which neither sees the other, are both in the lists', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const [ann, bob, eve] = [await service.newUser(), await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const ids = { project: '', id: '' }
  const own = () => `${path}/${ids.id}`
  const transfer = () => ann.post(`${own()}/transfer`, { email: bob.person.email })
  const { project, id } = { project: () => ids.project, id: () => ids.id }

  // The first is not committed before the second is done, or waits for it.
  const pairs: [string, () => ReturnType<typeof sql>, () => Promise<{ status: number }>][] = [
    [
      'a project is renamed while one is made in it',
      () => sql`update projects set name = 'later' where id = ${project()}`,
      () => newCredential(ann, type, { projectIds: [project()] }).then(() => ({ status: 201 }))
    ],
    [
      'a project is renamed while one is linked to it',
      () => sql`update projects set name = 'later' where id = ${project()}`,
      () => ann.post(`${own()}/assign-projects`, { projectIds: [project()] })
    ],
    [
      'a project is renamed while one of its credentials is given away',
      () => sql`update projects set name = 'later' where id = ${project()}`,
      transfer
    ],
    [
      'one is used no more while it is given away',
      () => sql`delete from credential_usages where credential_id = ${id()}`,
      transfer
    ],
    [
      'one is taken out of a project while it is given away',
      () => sql`delete from credential_projects where credential_id = ${id()}`,
      transfer
    ],
    [
      'the new owner leaves a project while it is given away',
      () => sql`delete from project_members where project_id = ${project()} and user_id = ${bob.person.id}`,
      transfer
    ],
    [
      'a type is renamed while one of it is made',
      () => sql`update credential_types set type_name = 'of ' || id where id = ${type.id}`,
      () => newCredential(ann, type).then(() => ({ status: 201 }))
    ],
    [
      'a type is renamed while one of it is given away',
      () => sql`update credential_types set type_name = 'now ' || id where id = ${type.id}`,
      transfer
    ]
  ]
  for (const [what, first, second] of pairs) {
    await sql`delete from credential_usages`.execute(service.db)
    await sql`delete from credentials`.execute(service.db)
    ids.project = await newProject(eve)
    await addMember(eve, ids.project, ann, 'editor')
    await addMember(eve, ids.project, bob, 'editor')
    const linked = what.includes('given away') ? { projectIds: [ids.project] } : {}
    ids.id = (await newCredential(ann, type, linked)).id
    if (what.includes('used')) await ann.put(`${own()}/usages/workflow:1`)
    let done = false
    const read = () => Promise.all([ann.get(path), bob.get(path)])
    const going = await service.db.transaction().execute(async (trx) => {
      await first().execute(trx)
      const going = second().finally(() => {
        done = true
      })
      for (let i = 0; i < 10 && !done; i++) {
        await read()
        await sleep(30)
      }
      await read()
      return { going }
    })
    t.match(await going.going, { status: /^20/ }, what)
    for (const client of [ann, bob]) {
      const [kept, fresh] = [await client.get(path), await client.get(`${path}?search=credential`)]
      t.strictSame(kept.json, fresh.json, `${what}: ${client === ann ? 'hers' : 'his'}`)
    }
  }
})

t.test('what one replica has changed, another does not show as it was', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const replica = await startReplica(t, service, { env: { LOG_LEVEL: 'warn' } })
  const here = await service.newUser()
  const there = replica.client(here)
  const type = await newType(here)
  const ids = [await newCredential(here, type), await newCredential(here, type)].map(
    (one) => one.id as string
  )
  let renaming = true
  // Somebody else's writes go on at the same time, of the same owner.
  const others = (async () => {
    for (let i = 0; renaming; i++) await here.put(`${path}/${ids[1]}`, { description: `${i}` })
  })()
  for (let i = 0; i < 30; i++) {
    const credentialName = `name ${i}`
    const [writer, reader] = i % 2 ? [here, there] : [there, here]
    const reading = Promise.all([reader.get(path), reader.get(path)])
    t.equal((await writer.put(`${path}/${ids[0]}`, { credentialName })).status, 200)
    t.match((await reader.get(path)).json.data[1], { id: ids[0], credentialName })
    await reading
  }
  renaming = false
  await others
  t.strictSame((await there.get(path)).json, (await here.get(path)).json)
})
