import { Socket } from 'node:net'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { addMember, newCredential, newProject, newType } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'

const path = '/api/v1/app-credentials'

t.test('past security findings', async (t) => {
  const service = await startTestApp(t)
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const { host, password } = type.field as Record<string, string>
  const denials = async (targetId: string) =>
    service.db
      .selectFrom('audit_log')
      .where('outcome', '=', 'denied')
      .where('target_id', '=', targetId)
      .select(['action', 'project_id', 'details'])
      .execute()

  t.test('each project token registers its own usage, and cannot remove another project’s', async (t) => {
    const [one, two] = [await newProject(ann), await newProject(ann)]
    const { id } = await newCredential(ann, type, { projectIds: [one, two] })
    const [first, second] = await Promise.all(
      [one, two].map((projectId) => newToken(ann, ['usages:write'], { projectId }))
    )
    for (const [machine, projectId] of [
      [first!, one],
      [second!, two]
    ] as const) {
      for (let i = 0; i < 2; i++)
        t.equal((await machine.put(`${path}/${id}/usages/job`)).json.projectId, projectId)
    }
    t.equal((await first!.delete(`${path}/${id}/usages/job`)).status, 200)
    t.match((await ann.delete(`${path}/${id}`)).json, { code: 'credential-in-use', consumers: ['job'] })
    const added = await ann.get(`/api/v1/audit-events?credentialId=${id}&action=usage.added`)
    t.equal(added.json.data.length, 2, 'an existing usage is not recorded again')
    await ann.post(`${path}/${id}/assign-projects`, { projectIds: [] })
    t.equal(
      (await second!.delete(`${path}/${id}/usages/job`)).status,
      200,
      'a token can remove its usage after the link was removed'
    )
    t.equal((await ann.delete(`${path}/${id}`)).status, 200)
  })

  t.test('responses and credentials have a maximum size', async (t) => {
    const project = await newProject(ann)
    const machine = await newToken(ann, ['credentials:resolve'], { projectId: project })
    const url = `/api/v1/projects/${project}/resolve`
    const large = await newType(
      ann,
      Array.from({ length: 15 }, (_, i) => ({ fieldName: `f${i}`, fieldLabel: 'x', fieldType: 'text' }))
    )
    const keys = Object.values(large.field).map((fieldId) => ({ fieldId, keyValue: 'x'.repeat(65_000) }))
    const ids: string[] = []
    for (let i = 0; i < 9; i++)
      ids.push((await newCredential(ann, large, { keys, projectIds: [project] })).id)
    const twice = await machine.post(url, { credentials: [{ id: ids[0] }, { id: ids[0]!.toUpperCase() }] })
    t.match(twice.json, {
      code: 'validation-failed',
      errors: [{ path: '/body/credentials/1', code: 'repeated' }]
    })
    const all = await machine.post(url, { credentials: ids.map((id) => ({ id })) })
    t.equal(all.status, 413)
    t.equal(all.json.code, 'answer-too-large')
    t.equal((await machine.post(url, { credentials: [{ id: ids[0] }] })).status, 200)
    const second = await ann.put(`${path}/${ids[0]}/environments/staging`, { keys })
    t.match(
      second.json,
      { code: 'validation-failed', errors: [{ code: 'too-large' }] },
      'a credential has a maximum size'
    )
  })

  t.test('values that are too large for a batch can be read, changed and revealed', async (t) => {
    const fields = ['a', 'b', 'c'].map((fieldName) => ({
      ...{ fieldName, fieldLabel: 'x', fieldType: 'text', secret: false },
      required: false
    }))
    const open = await newType(ann, fields)
    const value = 'x'.repeat(40_000)
    const keys = ['a', 'b'].map((name) => ({ fieldId: open.field[name], keyValue: value }))
    const { id } = await newCredential(ann, open, { keys })
    const valuesOf = (json: { keys: { fieldName: string; keyValue?: string }[] }) =>
      json.keys.map(({ fieldName, keyValue }) => [fieldName, keyValue?.length])
    const all = [
      ['a', 40_000],
      ['b', 40_000],
      ['c', undefined]
    ]
    t.same(valuesOf((await ann.get(`${path}/${id}`)).json), all)
    t.same(valuesOf((await ann.put(`${path}/${id}`, { description: 'Large' })).json), all)
    const change = { keys: [{ fieldId: open.field['c'], keyValue: 'y' }] }
    const changed = await ann.put(`${path}/${id}`, change)
    t.same(valuesOf(changed.json), [...all.slice(0, 2), ['c', 1]])
    t.equal(changed.json.revision, 3)
    t.same(valuesOf((await ann.post(`${path}/${id}/reveal`, {})).json), [...all.slice(0, 2), ['c', 1]])
    t.equal((await bob.get(`${path}/${id}`)).status, 404)
  })

  t.test('a resolve that is too large is refused before any value is read', async (t) => {
    const project = await newProject(ann)
    const machine = await newToken(ann, ['credentials:resolve'], { projectId: project })
    const large = await newType(
      ann,
      Array.from({ length: 15 }, (_, i) => ({ fieldName: `f${i}`, fieldLabel: 'x', fieldType: 'text' }))
    )
    const keys = Object.values(large.field).map((fieldId) => ({ fieldId, keyValue: 'x'.repeat(65_000) }))
    const credentials: { id: string }[] = []
    for (let i = 0; i < 7; i++) {
      const { id } = await newCredential(ann, large, { keys, projectIds: [project] })
      credentials.push({ id })
    }
    // Counts the bytes that Postgres sends: those on connections that do not use the port of the service.
    const port = Number(new URL(service.origin).port)
    let received = 0
    const original = Socket.prototype.push
    Socket.prototype.push = function (chunk, encoding) {
      if (this.remotePort !== port && this.localPort !== port) received += chunk?.length ?? 0
      return original.call(this, chunk, encoding)
    }
    t.teardown(() => {
      Socket.prototype.push = original
    })
    const resolve = (some: { id: string }[]) =>
      machine.post(`/api/v1/projects/${project}/resolve`, { credentials: some })
    t.match((await resolve(credentials)).json, { status: 413, code: 'answer-too-large' })
    t.ok(received < 100_000, `${received} bytes`)
    const names = (await ann.get(`${path}/by-project/${project}`)).json.map(
      (one: { credentialName: string }) => ({ name: one.credentialName })
    )
    received = 0
    t.match((await resolve(names)).json, { status: 413, code: 'answer-too-large' })
    t.ok(received < 100_000, `${received} bytes`)
    t.equal((await resolve(credentials.slice(0, 2))).status, 200)
    t.ok(received > 2_000_000, `allowed values are read: ${received} bytes`)

    t.equal((await resolve(credentials.slice(0, 4))).status, 200)
    const twice = await resolve([...credentials.slice(0, 4), ...names.slice(-4)])
    t.match(twice.json, { code: 'answer-too-large' }, 'values count as often as they are returned')

    const [first] = credentials
    await service.db
      .updateTable('credentials')
      .set({ expires_at: new Date(0) })
      .where('id', '=', first!.id)
      .execute()
    received = 0
    t.match((await resolve([first!])).json.results, [{ error: { code: 'expired' } }])
    t.match((await resolve(names.slice(-1))).json.results, [{ error: { code: 'expired' } }])
    t.ok(received < 100_000, `values of expired credentials are not read: ${received} bytes`)
    for (const all of [credentials, names])
      t.equal((await resolve(all)).status, 200, 'expired credentials do not count')
  })

  t.test('a credential has at most 32 environments', async (t) => {
    const { id } = await newCredential(ann, type)
    const keys = [
      { fieldId: host, keyValue: 'h' },
      { fieldId: password, keyValue: 'p' }
    ]
    for (let i = 2; i <= 32; i++) {
      if ((await ann.put(`${path}/${id}/environments/e${i}`, { keys })).status !== 200)
        t.fail(`environment ${i}`)
    }
    t.equal((await ann.put(`${path}/${id}/environments/e33`, { keys })).json.code, 'too-many-environments')
    t.equal((await ann.put(`${path}/${id}/environments/e32`, { keys })).status, 200)
    t.equal((await ann.get(`${path}/${id}`)).json.environments.length, 32)
  })

  t.test('a transfer refuses an external id that the new owner has', async (t) => {
    for (const [client, name] of [
      [ann, 'of Ann'],
      [bob, 'of Bob']
    ] as const) {
      await client.post('/api/credentials', { name, body: {}, external_id: 'same' })
    }
    const [mine] = (await ann.get('/api/credentials')).json.credentials.filter(
      (one: { name: string }) => one.name === 'of Ann'
    )
    const answer = await ann.post(`${path}/${mine.id}/transfer`, { email: bob.person.email })
    t.equal(answer.status, 409)
    t.equal(answer.json.code, 'new-owner-may-not-link')
  })

  t.test('both APIs refuse an invalid Idempotency-Key', async (t) => {
    for (const key of ['x'.repeat(201), 'x'.repeat(8000), 'a b']) {
      const headers = { 'idempotency-key': key }
      t.equal((await ann.post('/api/credentials', { name: 'x', body: {} }, { headers })).status, 400)
      t.equal((await ann.post('/api/v1/projects', { name: 'x' }, { headers })).status, 400)
    }
  })

  t.test('a token that is created while its user is being disabled does not work', async (t) => {
    const carl = await service.newUser()
    const body = { name: 'x', scopes: ['credentials:read'] }
    const [, ...made] = await Promise.all([
      service.admin.put(`/api/v1/users/${carl.person.id}`, { disabled: true }),
      ...Array.from({ length: 12 }, () => carl.post('/api/v1/access-tokens', body))
    ])
    await service.admin.put(`/api/v1/users/${carl.person.id}`, { disabled: false })
    for (const { status, json } of made) {
      t.ok([201, 401].includes(status))
      if (status !== 201) continue
      const caller = service.anonymous()
      caller.bearer = json.token
      t.equal((await caller.get(path)).status, 401)
    }
    const past = { ...body, expiresAt: '2020-01-01T00:00:00Z' }
    t.equal((await ann.post('/api/v1/access-tokens', past)).json.errors[0].path, '/body/expiresAt')
  })

  t.test('concurrent deletion of a project causes no server error', async (t) => {
    for (let round = 0; round < 6; round++) {
      const project = await newProject(ann)
      const { id } = await newCredential(ann, type, { projectIds: [project] })
      const machine = await newToken(ann, ['usages:write'], { projectId: project })
      const link = { project_credentials: [{ project_id: project }] }
      const answers = await Promise.all([
        ann.delete(`/api/v1/projects/${project}`),
        machine.put(`${path}/${id}/usages/job`),
        ann.post('/api/credentials', { name: `race ${round}`, body: {}, ...link }),
        ann.post('/api/v1/access-tokens', { name: 'x', scopes: ['usages:write'], projectId: project })
      ])
      t.same(
        answers.map((answer) => answer.status).filter((status) => status >= 500),
        []
      )
    }
  })

  t.test('the audit log does not show admins of a project credentials outside of it', async (t) => {
    const project = await newProject(ann)
    const machine = await newToken(ann, ['credentials:resolve'], { projectId: project })
    const hidden = await newCredential(bob, type)
    await machine.post(`/api/v1/projects/${project}/resolve`, { credentials: [{ id: hidden.id }] })
    t.same((await ann.get(`/api/v1/audit-events?projectId=${project}&outcome=denied`)).json.data, [])
    t.match((await bob.get(`/api/v1/audit-events?credentialId=${hidden.id}&outcome=denied`)).json.data, [{}])
  })

  t.test('decryption failures and cross-site requests are recorded in the audit log', async (t) => {
    const { id } = await newCredential(ann, type)
    await service.db
      .updateTable('credential_keys')
      .set({ value: Buffer.alloc(60, 1) })
      .where('credential_id', '=', id)
      .execute()
    t.equal((await ann.post(`${path}/${id}/reveal`, {})).status, 500)
    t.match(await denials(id), [{ action: 'revealAppCredential', details: { code: 'decryption-failed' } }])
    const other = await newCredential(ann, type)
    await ann.delete(`${path}/${other.id}`, { headers: { origin: 'https://evil.example' } })
    t.match(await denials(other.id), [
      { action: 'deleteAppCredential', details: { code: 'cross-site-request' } }
    ])
  })

  t.test('removing a credential from a project changes its revision', async (t) => {
    const project = await newProject(ann)
    await addMember(ann, project, bob, 'editor')
    const { id } = await newCredential(bob, type, { projectIds: [project] })
    await ann.delete(`${path}/by-project/${project}/${id}`)
    t.equal((await bob.get(`${path}/${id}`)).headers.get('etag'), '"2"')
    const doomed = await newProject(ann)
    await addMember(ann, doomed, bob, 'editor')
    await bob.post(`${path}/${id}/assign-projects`, { projectIds: [doomed] })
    await ann.delete(`/api/v1/projects/${doomed}`)
    t.match(
      (await bob.get(`${path}/${id}`)).json,
      { revision: 4, projects: [] },
      'also if the project is deleted'
    )
    const events = await bob.get(`/api/v1/audit-events?credentialId=${id}&action=credential.unlinked`)
    t.equal(events.json.data.length, 2, 'its owner sees both in the audit log')
  })
})
