// Concurrent requests share statements for look-ups and audit events, without any effect on their responses.
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { startTestApp } from './helpers/app.ts'
import type { Client } from './helpers/client.ts'
import { addMember, newCredential, newCredentialBody, newProject, newType } from './helpers/fixtures.ts'
import { watchStatements } from './helpers/statements.ts'
import { newToken } from './helpers/tokens.ts'

const path = '/api/v1/app-credentials'

t.test('concurrent reads return the same as sequential ones', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const people = [await service.newUser(), await service.newUser(), await service.newUser()]
  const requests: [name: string, send: () => ReturnType<Client['get']>][] = []
  const ask = (name: string, send: () => ReturnType<Client['get']>) => requests.push([name, send])
  const ids: string[] = []
  for (const [n, owner] of people.entries()) {
    const type = await newType(owner)
    const project = await newProject(owner)
    await addMember(owner, project, people[(n + 1) % 3]!, 'viewer')
    const machine = await newToken(owner, ['credentials:resolve', 'credentials:read'], { projectId: project })
    const own: string[] = []
    for (let i = 0; i < 4; i++) {
      const made = await newCredential(owner, type, {
        description: `of ${n}, ${i}`,
        projectIds: i % 2 ? [project] : []
      })
      own.push(made.id)
      const entry = i > 1 ? { name: made.credentialName } : { id: made.id }
      const body = { credentials: [entry, { id: randomUUID() }] }
      ask(`resolve ${n} ${i}`, () => machine.post(`/api/v1/projects/${project}/resolve`, body))
      ask(`reveal ${n} ${i}`, () => owner.post(`${path}/${made.id}/reveal`, {}))
    }
    ids.push(...own)
    for (const query of ['', '?pageSize=2', '?page=2&pageSize=3', '?page=9', `?credentialTypeId=${type.id}`])
      ask(`list ${n} ${query}`, () => owner.get(`${path}${query}`))
    ask(`search ${n}`, () => owner.get(`${path}?search=credential`))
    ask(`machine ${n}`, () => machine.get(`${path}/by-project/${project}`))
    ask(`type ${n}`, () => people[(n + 2) % 3]!.get(`/api/v1/credential-types/${type.id}`))
    ask(`session ${n}`, () => owner.get('/api/v1/session'))
    for (const [m, person] of people.entries())
      ask(`by project ${n} ${m}`, () => person.get(`${path}/by-project/${project}`))
  }
  for (const [n, person] of people.entries())
    for (const id of [...ids, randomUUID(), 'no-id']) ask(`get ${n} ${id}`, () => person.get(`${path}/${id}`))
  for (const id of ids) ask(`nobody ${id}`, () => service.anonymous().get(`${path}/${id}`))
  const stranger = service.anonymous()
  stranger.cookie = `latchkey_session=${'a'.repeat(43)}`
  ask('no session', () => stranger.get(path))

  /** Returns the response without the parts that differ between requests. */
  const answer = async (send: () => ReturnType<Client['get']>) => {
    const { status, text, headers } = await send()
    return { status, text: text.replace(/"(requestId|nextCursor)":"[^"]*"/, ''), etag: headers.get('etag') }
  }
  const expected = new Map<string, unknown>()
  for (const [name, send] of requests) expected.set(name, await answer(send))
  const texts = new Set([...expected.values()].map((one) => (one as { text: string }).text))
  t.ok(texts.size > 50, `${texts.size} different answers`)

  const statements = watchStatements(t)
  for (let round = 0; round < 4; round++) {
    const all = [...requests, ...requests].sort(() => (round % 2 ? 1 : -1))
    await Promise.all(
      all.map(async ([name, send]) => t.strictSame(await answer(send), expected.get(name), name))
    )
  }
  t.same(statements.refused, [], 'no statement fails')
  const together = statements.sent.filter((text) => text.includes(' as input('))
  for (const table of ['sessions', 'access_tokens', 'credential_types', 'credentials', 'credential_projects'])
    t.ok(
      together.some((text) => new RegExp(`from "?${table}"?`).test(text)),
      table
    )
  t.notOk(
    together.some((text) => text.includes('or c.name_key = any')),
    'reads of whole projects are not batched'
  )
})

t.test('concurrent creates are separate statements with the same results as sequential ones', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const [project, other] = [await newProject(ann), await newProject(bob)]
  const body = (credentialName: string, more: object = {}) =>
    newCredentialBody(type, { credentialName, ...more })
  const statements = watchStatements(t)
  const large = 'x'.repeat(60_000)
  const created = await Promise.all([
    ...Array.from({ length: 20 }, (_, i) =>
      ann.post(path, body(`a ${i}`, { projectIds: i % 2 ? [project] : [] }))
    ),
    ...Array.from({ length: 20 }, (_, i) => bob.post(path, body(`a ${i}`, { description: `bob ${i}` }))),
    ann.post(
      path,
      body('large', {
        keys: [
          { fieldId: type.field['host'], keyValue: large },
          { fieldId: type.field['password'], keyValue: large }
        ]
      })
    )
  ])
  t.ok(created.every(({ status }) => status === 201))
  const inserts = statements.sent.filter((text) => text.includes('insert into "credentials"'))
  t.equal(inserts.length, 41, 'one statement for each')
  t.same(statements.refused, [])

  const mixed = await Promise.all([
    ann.post(path, body('fine')),
    ann.post(path, body('twice')),
    ann.post(path, body('Twice')),
    ann.post(path, body('a 3')),
    ann.post(path, body('not a member', { projectIds: [other] })),
    ann.post(path, body('no project', { projectIds: [randomUUID()] })),
    ann.post(path, body('no type', { credentialTypeId: randomUUID() })),
    bob.post(path, body('fine')),
    bob.post(path, body('linked', { projectIds: [other] }))
  ])
  t.same(mixed.map(({ status }) => status).filter((status) => status === 201).length, 4)
  t.same([mixed[0]!.status, mixed[7]!.status, mixed[8]!.status], [201, 201, 201])
  t.same([mixed[1]!.status, mixed[2]!.status].sort(), [201, 409])
  t.same(
    mixed.slice(3, 7).map(({ status }) => status),
    [409, 403, 404, 400]
  )

  for (const [person, count] of [
    [ann, 23],
    [bob, 22]
  ] as const) {
    const list = (await person.get(`${path}?pageSize=100`)).json
    t.equal(list.total, count)
    t.equal(list.data.length, count)
  }
  for (const [i, made] of created.slice(0, 40).entries()) {
    const owner = i < 20 ? ann : bob
    t.strictSame((await owner.get(`${path}/${made.json.id}`)).json, made.json)
    t.equal(made.json.projects.length, i < 20 ? i % 2 : 0)
    t.equal(made.json.description, i < 20 ? null : `bob ${i - 20}`)
    const events = (await owner.get(`/api/v1/audit-events?credentialId=${made.json.id}`)).json.data
    t.same(
      events.map((event: { action: string; actor: { id: string } }) => [event.action, event.actor.id]).sort(),
      [
        ['credential.created', owner.person.id],
        ...(i < 20 && i % 2 ? [['credential.linked', owner.person.id]] : [])
      ]
    )
  }
})

t.test('waiting creates of one owner do not delay other owners', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const [ann, eve] = [await service.newUser(), await service.newUser()]
  const [free, taken] = [await newType(ann), await newType(eve)]
  let waiting: Promise<{ status: number }[]> | undefined
  await service.db.transaction().execute(async (trx) => {
    await trx.selectFrom('credential_types').where('id', '=', taken.id).select('id').forUpdate().execute()
    waiting = Promise.all(Array.from({ length: 8 }, () => eve.post(path, newCredentialBody(taken))))
    for (let round = 0; round < 3; round++) {
      const made = await Promise.all(Array.from({ length: 8 }, () => ann.post(path, newCredentialBody(free))))
      t.ok(made.every(({ status }) => status === 201))
    }
  })
  t.ok((await waiting!).every(({ status }) => status === 201))
})
