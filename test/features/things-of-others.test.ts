import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { startTestApp } from '../helpers/app.ts'
import type { Client } from '../helpers/client.ts'
import { eventually } from '../helpers/eventually.ts'
import { addMember, newCredential, newProject, newType, uniqueName } from '../helpers/fixtures.ts'
import { newToken } from '../helpers/tokens.ts'

// Changes that users make to their own resources must not affect resources of other users.

const service = await startTestApp(t)
const CREDENTIALS = '/api/v1/app-credentials'
const TYPES = '/api/v1/credential-types'

/** Creates a type of Ann with a credential of Bob, and a project token of Bob that resolves it. */
async function newSharedType(t: Test) {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const projectId = await newProject(bob)
  const credential = await newCredential(bob, type, { projectIds: [projectId] })
  const scopes = ['credentials:resolve', 'credentials:read', 'usages:write']
  const machine = await newToken(bob, scopes, { projectId })
  const resolve = async () => {
    const body = { credentials: [{ id: credential.id }] }
    const { json } = await machine.post(`/api/v1/projects/${projectId}/resolve`, body)
    return json.results[0]
  }
  const { json } = await ann.get(`${TYPES}/${type.id}`)
  const fields = json.fields as { id: string; fieldName: string; required: boolean }[]
  const before = await resolve()
  t.match(before, { revision: 1, values: { host: String, password: String } })
  return {
    ann,
    bob,
    type,
    typeName: json.typeName as string,
    fields,
    projectId,
    credential,
    machine,
    resolve,
    before
  }
}

t.test('the owner of a type cannot change the meaning of credentials of others', async (t) => {
  const { ann, bob, type, typeName, fields, resolve, before } = await newSharedType(t)
  const [host, password, note] = fields as [(typeof fields)[0], (typeof fields)[0], (typeof fields)[0]]
  const path = `${TYPES}/${type.id}`
  const rest = (...ids: string[]) => fields.filter(({ id }) => !ids.includes(id)).map(({ id }) => ({ id }))
  const added = { fieldLabel: 'Added', fieldType: 'text', required: false }
  const cases: [string, object[]][] = [
    [
      'swapped names',
      [{ id: host.id, fieldName: 'password' }, { id: password.id, fieldName: 'host' }, { id: note.id }]
    ],
    ['another name', [{ id: host.id, fieldName: 'server' }, ...rest(host.id)]],
    ['another case', [{ id: host.id, fieldName: 'Host' }, ...rest(host.id)]],
    [
      'a name passed on',
      [{ id: password.id, fieldName: 'host' }, { id: host.id, fieldName: 'old' }, { id: note.id }]
    ],
    [
      'a name taken over by a new field',
      [{ id: password.id, fieldName: 'secret' }, { ...added, fieldName: 'password' }, { id: host.id }]
    ],
    ['another type', [{ id: host.id, fieldType: 'url' }, ...rest(host.id)]],
    ['no longer secret', [{ id: password.id, secret: false }, ...rest(password.id)]],
    ['secret from now on', [{ id: host.id, secret: true }, ...rest(host.id)]],
    ['removed', rest(host.id)],
    ['sent by its name, as another type', [...rest(host.id), { fieldName: 'host', fieldType: 'url' }]],
    ['sent by its name, no longer secret', [...rest(password.id), { fieldName: 'password', secret: false }]]
  ]
  for (const [name, changed] of cases) {
    for (const caller of [ann, service.admin]) {
      const { status, json } = await caller.put(path, { fields: changed })
      t.equal(status, 409, name)
      t.match(json, { code: 'type-in-use', usageCount: 1 }, name)
    }
  }
  const renamed = await ann.put(path, { typeName: uniqueName('type') })
  t.match(renamed.json, { status: 409, code: 'type-in-use', errors: [{ path: '/body/typeName' }] })
  t.same(await resolve(), before, 'nothing has changed')

  const allowed = [
    { id: note.id, fieldName: 'remark', secret: false, position: 0 },
    { id: password.id, fieldLabel: 'Pass phrase', description: 'Long' },
    { id: host.id, pattern: '.', required: false },
    { ...added, fieldName: 'more' }
  ]
  t.equal((await ann.put(path, { typeName, description: 'Mail', fields: allowed })).status, 200)
  t.same(await resolve(), before, 'allowed changes do not affect the credential')
  t.equal((await bob.get(`${CREDENTIALS}/${before.id}`)).json.revision, 1)
  const events = await bob.get(`/api/v1/audit-events?credentialId=${before.id}&action=credential.updated`)
  t.same(events.json.data, [])
})

t.test('an owner can change a type while no other user has values', async (t) => {
  const ann = await service.newUser()
  const type = await newType(ann)
  const { id } = await newCredential(ann, type)
  const fields = Object.entries(type.field).map(([name, fieldId]) => ({ id: fieldId, fieldName: `${name}2` }))
  const path = `${TYPES}/${type.id}`
  t.equal((await ann.put(path, { typeName: uniqueName('type'), fields })).status, 200)
  const { json } = await ann.get(`${CREDENTIALS}/${id}`)
  t.same(
    json.keys.map((key: { fieldName: string }) => key.fieldName),
    ['host2', 'password2', 'note2']
  )
  const back = fields.map((field) => ({ ...field, fieldName: field.fieldName.slice(0, -1) }))
  const changed = await service.admin.put(path, { fields: back })
  t.match(changed.json, { code: 'type-in-use' }, 'for an administrator, the owner is another user')
})

t.test('a change of a type and the first credential of another user are serialized', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  for (let round = 0; round < 8; round++) {
    const type = await newType(ann)
    const body = {
      credentialName: uniqueName('credential'),
      credentialTypeId: type.id,
      keys: ['host', 'password'].map((name) => ({ fieldId: type.field[name], keyValue: `the ${name}` }))
    }
    const swapped = [
      { id: type.field['host'], fieldName: 'password' },
      { id: type.field['password'], fieldName: 'host' },
      { id: type.field['note'] }
    ]
    const [made, changed] = await Promise.all([
      bob.post(CREDENTIALS, body),
      ann.put(`${TYPES}/${type.id}`, { fields: swapped })
    ])
    if (made.status !== 201) continue
    const named = (await ann.get(`${TYPES}/${type.id}`)).json.fields[0].fieldName
    const isSwapped = named === 'password'
    t.equal(changed.status, isSwapped ? 200 : 409)
    const keys = made.json.keys as { fieldId: string; fieldName: string }[]
    const host = keys.find((key) => key.fieldId === type.field['host'])
    t.equal(host?.fieldName, isSwapped ? 'password' : 'host', 'the response has the current field name')
  }
})

t.test("an administrator's token does not change types of others", async (t) => {
  const ann = await service.newUser()
  const admin = await service.newUser({ role: 'admin' })
  const type = await newType(ann)
  const own = await newType(admin)
  const token = await newToken(admin, ['credentials:write'])
  const change = { description: 'changed' }
  t.equal((await token.put(`${TYPES}/${type.id}`, change)).status, 403)
  t.equal((await token.delete(`${TYPES}/${type.id}`)).status, 403)
  t.equal((await token.put(`${TYPES}/${own.id}`, change)).status, 200, 'their own types it can change')
  t.equal((await admin.put(`${TYPES}/${type.id}`, change)).status, 200, 'a session of the administrator can')
  t.equal((await admin.delete(`${TYPES}/${type.id}`)).status, 200)
})

t.test('a project token registers usages only of credentials in its project', async (t) => {
  const { bob, projectId, credential, machine } = await newSharedType(t)
  const usages = `${CREDENTIALS}/${credential.id}/usages`
  for (const job of ['one', 'two']) t.equal((await machine.put(`${usages}/${job}`)).status, 200)
  await bob.delete(`${CREDENTIALS}/by-project/${projectId}/${credential.id}`)
  for (const job of ['one', 'three']) t.equal((await machine.put(`${usages}/${job}`)).status, 404)
  const listed = await machine.get(usages)
  t.same(
    listed.json.data.map((usage: { consumer: string }) => usage.consumer),
    ['one', 'two']
  )
  t.equal((await machine.delete(`${usages}/one`)).status, 200, 'it can remove its own usages')
  t.equal((await bob.delete(`${usages}/two`)).status, 200, 'the owner can remove them too')
  t.equal((await machine.put(`${usages}/one`)).status, 404)
  t.equal((await bob.delete(`${CREDENTIALS}/${credential.id}`)).status, 200)
})

t.test('a credential has at most 10,000 usages, and a project at most 1,000 members', async (t) => {
  const { bob, projectId, credential, machine } = await newSharedType(t)
  const { db } = service
  await sql`insert into credential_usages (credential_id, consumer, project_id)
    select ${credential.id}::uuid, 'job:' || n, ${projectId}::uuid from generate_series(1, 9999) n`.execute(
    db
  )
  const usages = `${CREDENTIALS}/${credential.id}/usages`
  const put = (name: string) => machine.put(`${usages}/${name}`)
  const raced = await Promise.all(['a', 'b', 'c'].map(put))
  t.same(raced.map(({ status }) => status).sort(), [200, 409, 409])
  t.match((await put('d')).json, { code: 'too-many-usages' })
  t.equal((await put('job:1')).status, 200, 'an existing usage can be registered again')
  t.equal((await machine.get(usages)).json.total, 10_000)

  await sql`with made as (insert into users (id, email, name, name_key, password_hash, role)
      select gen_random_uuid(), gen_random_uuid() || '@example.org', 'M', 'm', 'x', 'user'
      from generate_series(1, 998) returning id)
    insert into project_members (project_id, user_id, role)
      select ${projectId}::uuid, id, 'viewer' from made`.execute(db)
  const people = [await service.newUser(), await service.newUser()]
  const added = await Promise.all(
    people.map(({ person }) =>
      bob.post(`/api/v1/projects/${projectId}/members`, { email: person.email, role: 'viewer' })
    )
  )
  t.same(added.map(({ status }) => status).sort(), [201, 409])
  t.match(added.find(({ status }) => status === 409)!.json, { code: 'too-many-members' })
  t.equal((await bob.get(`/api/v1/projects/${projectId}/members`)).json.total, 1_000)
})

t.test('a write that loses a race against a transfer is refused', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const projectId = await newProject(ann)
  await addMember(ann, projectId, bob, 'editor')
  for (const [projectIds, status] of [
    [[projectId], 403],
    [[], 404]
  ] as const) {
    const writes: [string, (id: string) => ReturnType<Client['get']>][] = [
      ['update', (id) => ann.put(`${CREDENTIALS}/${id}`, { description: 'x' })],
      ['assign', (id) => ann.post(`${CREDENTIALS}/${id}/assign-projects`, { projectIds: [] })],
      ['transfer', (id) => ann.post(`${CREDENTIALS}/${id}/transfer`, { email: ann.person.email })],
      ['usage', (id) => ann.put(`${CREDENTIALS}/${id}/usages/job`)],
      ['no usage', (id) => ann.delete(`${CREDENTIALS}/${id}/usages/job`)]
    ]
    for (const [name, write] of writes) {
      const { id } = await newCredential(ann, type, { projectIds })
      await ann.put(`${CREDENTIALS}/${id}/usages/job`)
      await loseAtAuthentication(
        () => ann.post(`${CREDENTIALS}/${id}/transfer`, { email: bob.person.email }),
        async () => t.equal((await write(id)).status, status, name)
      )
    }
    for (const surface of [CREDENTIALS, '/api/credentials']) {
      const { id } = await newCredential(ann, type, { projectIds })
      await lose(
        ann,
        () => ann.post(`${CREDENTIALS}/${id}/transfer`, { email: bob.person.email }),
        async () => {
          const answer = await ann.delete(`${surface}/${id}`)
          t.equal(answer.status, status, `${surface} ${answer.text}`)
        }
      )
      t.equal((await bob.get(`${CREDENTIALS}/${id}`)).status, 200)
    }
  }
  const { id } = await newCredential(ann, type)
  const changed = () => ann.put(`${CREDENTIALS}/${id}`, { description: 'changed' })
  await lose(ann, changed, async () => {
    const answer = await ann.delete(`${CREDENTIALS}/${id}`, { headers: { 'if-match': '"1"' } })
    t.equal(answer.status, 412, 'the revision in If-Match has changed')
  })
  await lose(ann, changed, async () => t.equal((await ann.delete(`${CREDENTIALS}/${id}`)).status, 200))
})

/** Runs `first` after the authentication of the request in `work`, which also reads the rows for guards. */
async function loseAtAuthentication(first: () => Promise<unknown>, work: () => Promise<unknown>) {
  const { authenticate } = service.app
  service.app.authenticate = async function (this: typeof service.app, ...args) {
    await authenticate.apply(this, args)
    service.app.authenticate = authenticate
    await first()
  }
  await work()
  service.app.authenticate = authenticate
}

/** Runs `first` after the guard of the request in `work`, before its transaction. */
async function lose(_caller: Client, first: () => Promise<unknown>, work: () => Promise<unknown>) {
  const { inCallerTransaction } = service.app
  service.app.inCallerTransaction = async function (this: typeof service.app, ...args) {
    service.app.inCallerTransaction = inCallerTransaction
    await first()
    return inCallerTransaction.apply(this, args) as never
  }
  await work()
  service.app.inCallerTransaction = inCallerTransaction
}

t.test('a retry does not return a token that is no longer valid', async (t) => {
  const ann = await service.newUser()
  const tokens = '/api/v1/access-tokens'
  const make = (key: string, more: object = {}) =>
    ann.post(
      tokens,
      { name: 'Job', scopes: ['credentials:read'], ...more },
      { headers: { 'idempotency-key': key } }
    )
  const made = await make('revoked')
  t.equal((await make('revoked')).json.token, made.json.token, 'a retry returns the token')
  await ann.delete(`${tokens}/${made.json.id}`)
  const again = await make('revoked')
  t.match(again.json, { status: 409, code: 'token-revoked' })
  t.notOk(again.text.includes(made.json.token))

  const expiresAt = new Date(Date.now() + 60_000).toISOString()
  const expiring = await make('expired', { expiresAt })
  await service.db
    .updateTable('access_tokens')
    .set({ expires_at: new Date(Date.now() - 1_000) })
    .where('id', '=', expiring.json.id)
    .execute()
  t.match((await make('expired', { expiresAt })).json, { code: 'token-revoked' })
})

t.test('the tokens of a project have their creator and their last use', async (t) => {
  const [ann, bob] = [await service.newUser({ name: 'Ann' }), await service.newUser({ name: 'Bob' })]
  const projectId = await newProject(ann)
  await addMember(ann, projectId, bob, 'admin')
  const machine = await newToken(bob, ['credentials:read'], { projectId })
  const tokens = `/api/v1/access-tokens?projectId=${projectId}`
  const [unused] = (await ann.get(tokens)).json.data
  t.match(unused, { createdBy: { id: bob.person.id, name: 'Bob' }, lastUsedAt: null })
  await machine.get(`${CREDENTIALS}/by-project/${projectId}`)
  await eventually(async () => (await ann.get(tokens)).json.data[0].lastUsedAt !== null, 'the use is written')
  await ann.delete(`/api/v1/projects/${projectId}/members/${bob.person.id}`)
  t.match(
    (await ann.get(tokens)).json.data,
    [{ createdBy: { id: bob.person.id } }],
    'also after the creator has left'
  )
  await service.admin.delete(`/api/v1/users/${bob.person.id}`)
  t.match((await ann.get(tokens)).json.data, [{ createdBy: null }])
})

t.test('refusals of a transfer are equal, and the audit log has the address', async (t) => {
  const [ann, bob, eve] = [await service.newUser(), await service.newUser(), await service.newUser()]
  await service.admin.put(`/api/v1/users/${eve.person.id}`, { disabled: true })
  const type = await newType(ann)
  const { id, credentialName } = await newCredential(ann, type)
  await newCredential(bob, type, { credentialName })
  const emails = ['nobody@example.org', eve.person.email, bob.person.email]
  const refusals = new Set<string>()
  for (const email of emails) {
    const { status, json } = await ann.post(`${CREDENTIALS}/${id}/transfer`, { email })
    refusals.add(JSON.stringify({ ...json, status, requestId: '' }))
  }
  t.equal(refusals.size, 1, [...refusals].join())
  const { json } = await service.admin.get(`/api/v1/audit-events?credentialId=${id}&outcome=denied`)
  const logged = json.data.map((event: { details: object }) => event.details)
  t.same(
    logged.reverse(),
    emails.map((email) => ({ code: 'new-owner-may-not-link', email }))
  )
})

t.test('probing for existing e-mail addresses is recorded in the audit log', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const eve = await service.newUser()
  await service.admin.put(`/api/v1/users/${eve.person.id}`, { disabled: true })
  const projectId = await newProject(ann)
  const members = `/api/v1/projects/${projectId}/members`
  for (const email of ['one@example.org', eve.person.email, 'one@example.org'])
    t.equal((await ann.post(members, { email, role: 'viewer' })).status, 400)
  t.equal((await ann.post(members, { email: bob.person.email, role: 'viewer' })).status, 201)
  const { json } = await service.admin.get(
    `/api/v1/audit-events?projectId=${projectId}&actorId=${ann.person.id}`
  )
  const asked = json.data.flatMap((event: { action: string; count: number; details: { email?: string } }) =>
    event.details.email ? [[event.action, event.details.email, event.count]] : []
  )
  t.same(asked.sort(), [
    ['addProjectMember', 'one@example.org', 2],
    ['addProjectMember', eve.person.email, 1],
    ['member.added', bob.person.email, 1]
  ])
})

t.test(
  'Lightning bodies use types of the caller and of administrators, but not of other users',
  async (t) => {
    const [ann, bob] = [await service.newUser(), await service.newUser()]
    const make = async (owner: Client) => {
      const type = await newType(owner, [
        { fieldName: 'password', fieldLabel: 'Password', fieldType: 'text', secret: false }
      ])
      return (await owner.get(`/api/v1/credential-types/${type.id}`)).json.typeName as string
    }
    const create = async (schema: string) => {
      const body = { name: uniqueName('lightning'), schema, body: { password: 'hunter2 hunter2' } }
      const { id, schema: shown } = (await ann.post('/api/credentials', body)).json.credential
      t.equal(shown, schema)
      const { credentialType, keys } = (await ann.get(`/api/v1/app-credentials/${id}`)).json
      return { typeName: credentialType.typeName, isShown: JSON.stringify(keys).includes('hunter2') }
    }
    const ofBob = await make(bob)
    t.same(await create(ofBob), { typeName: 'raw', isShown: false }, 'the whole body is stored as a secret')
    const ofAdmin = await make(service.admin)
    t.same(await create(ofAdmin), { typeName: ofAdmin, isShown: true })
    const own = await make(ann)
    t.same(await create(own), { typeName: own, isShown: true })
  }
)
