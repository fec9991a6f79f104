import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { addMember, newCredential, newProject, newType, uniqueName } from '../../helpers/fixtures.ts'
import { send } from '../../helpers/raw-request.ts'
import { newToken } from '../../helpers/tokens.ts'

const path = '/api/v1/app-credentials'
const UNKNOWN = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'

t.test('project tokens', async (t) => {
  const service = await startTestApp(t)
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const { typeName } = (await ann.get(`/api/v1/credential-types/${type.id}`)).json
  const project = await newProject(ann)
  await addMember(ann, project, bob, 'editor')
  const machine = await newToken(ann, ['credentials:resolve'], { projectId: project })
  const url = `/api/v1/projects/${project}/resolve`
  const events = (action: string, id: string) =>
    service.db
      .selectFrom('audit_log')
      .where('action', '=', action)
      .where('target_id', '=', id)
      .select(['actor_type', 'project_id', 'details', 'outcome'])
      .execute()

  t.test('resolve credentials of the project, by id or name, in the requested order', async (t) => {
    const one = await newCredential(ann, type, { projectIds: [project] })
    const two = await newCredential(bob, type, {
      projectIds: [project],
      expiresAt: '2090-01-01T00:00:00.000Z'
    })
    const answer = await machine.post(url, {
      credentials: [{ name: two.credentialName.toUpperCase() }, { id: one.id }, { id: two.id.toUpperCase() }]
    })
    t.equal(answer.status, 200)
    t.equal(answer.headers.get('cache-control'), 'no-store')
    const values = { host: 'mail.example.org', password: 'hunter2 hunter2' }
    t.same(answer.json.results[1], {
      status: 'resolved',
      id: one.id,
      credentialName: one.credentialName,
      typeName,
      environment: 'main',
      revision: 1,
      expiresAt: null,
      values
    })
    t.match(answer.json.results[0], { id: two.id, expiresAt: '2090-01-01T00:00:00.000Z', values })
    t.same(answer.json.results[2], answer.json.results[0])
    t.match(await events('credential.resolved', one.id), [
      {
        actor_type: 'project-token',
        project_id: project,
        details: { environment: 'main', revision: 1, sealedRevision: 1 }
      }
    ])
    t.equal((await events('credential.resolved', two.id)).length, 1, 'one event for each resolved credential')
  })

  t.test('get values in their original types, from the requested environment', async (t) => {
    const all = await newType(ann, [
      { fieldName: 'port', fieldLabel: 'x', fieldType: 'number' },
      { fieldName: 'tls', fieldLabel: 'x', fieldType: 'boolean' },
      { fieldName: 'extra', fieldLabel: 'x', fieldType: 'json' }
    ])
    const values = (port: number) => [
      { fieldId: all.field.port, keyValue: port },
      { fieldId: all.field.tls, keyValue: false },
      { fieldId: all.field.extra, keyValue: { a: [1, null, 'x'] } }
    ]
    const { id } = await newCredential(ann, all, { keys: values(25), projectIds: [project] })
    await ann.put(`${path}/${id}/environments/staging`, { keys: values(2525) })
    for (const [environment, port] of [
      ['main', 25],
      ['staging', 2525]
    ] as const) {
      const answer = await machine.post(url, { credentials: [{ id }], environment })
      t.same(answer.json.results[0].values, { port, tls: false, extra: { a: [1, null, 'x'] } })
    }
  })

  t.test('get failures in place, without affecting other results', async (t) => {
    const good = await newCredential(ann, type, { projectIds: [project] })
    const elsewhere = await newCredential(ann, type, { projectIds: [await newProject(ann)] })
    const expired = await newCredential(ann, type, {
      projectIds: [project],
      expiresAt: '2020-01-01T00:00:00.000Z'
    })
    const damaged = await newCredential(ann, type, { projectIds: [project] })
    const twin = uniqueName('twin')
    for (const owner of [ann, bob])
      await newCredential(owner, type, { credentialName: twin, projectIds: [project] })
    await service.db
      .updateTable('credential_keys')
      .set({ value: Buffer.alloc(60, 1) })
      .where('credential_id', '=', damaged.id)
      .execute()
    const answer = await machine.post(url, {
      credentials: [
        { id: good.id },
        { id: elsewhere.id },
        { id: UNKNOWN },
        { name: 'nothing of that name' },
        { name: elsewhere.credentialName },
        { name: twin },
        { id: expired.id },
        { id: damaged.id },
        { name: good.credentialName }
      ]
    })
    t.equal(answer.status, 200)
    const codes = answer.json.results.map((one: { error?: { code: string } }) => one.error?.code ?? 'ok')
    t.same(codes, [
      'ok',
      'not-found',
      'not-found',
      'not-found',
      'not-found',
      'ambiguous-name',
      'expired',
      'decryption-failed',
      'ok'
    ])
    t.same(answer.json.results[1].id, elsewhere.id)
    t.same(answer.json.results[3], {
      status: 'failed',
      name: 'nothing of that name',
      error: { code: 'not-found', detail: 'The project has no such credential.' }
    })
    t.equal(
      answer.json.results[1].error.detail,
      answer.json.results[2].error.detail,
      'a hidden credential looks like an unknown one'
    )
    const none = await machine.post(url, { credentials: [{ id: good.id }], environment: 'staging' })
    t.equal(none.json.results[0].error.code, 'environment-not-configured')
    t.match(await events('resolveCredentials', elsewhere.id), [
      { outcome: 'denied', details: { code: 'not-found' } }
    ])
    t.match(await events('resolveCredentials', damaged.id), [
      { outcome: 'denied', details: { code: 'decryption-failed' } }
    ])
    t.equal((await events('resolveCredentials', UNKNOWN)).length, 0)
  })

  t.test('can have the whole request fail with onError', async (t) => {
    const good = await newCredential(ann, type, { projectIds: [project] })
    const elsewhere = await newCredential(ann, type, { projectIds: [await newProject(ann)] })
    const expired = await newCredential(ann, type, {
      projectIds: [project],
      expiresAt: '2020-01-01T00:00:00.000Z'
    })
    const damaged = await newCredential(ann, type, { projectIds: [project] })
    await service.db
      .updateTable('credential_keys')
      .set({ value: Buffer.alloc(60, 1) })
      .where('credential_id', '=', damaged.id)
      .execute()
    const twin = uniqueName('twin')
    for (const owner of [ann, bob])
      await newCredential(owner, type, { credentialName: twin, projectIds: [project] })
    const ask = (credentials: object[], more: object = {}) =>
      machine.post(url, { credentials, onError: 'fail', ...more })

    const missing = { name: 'a missing one' }
    const ambiguous = { name: twin }
    const byId = ({ id }: { id: string }) => ({ id })
    const cases: [object[], number, string, string[]][] = [
      [[missing], 404, 'not-found', ['0 not-found']],
      [[byId(good), byId(elsewhere)], 404, 'not-found', ['1 not-found']],
      [[ambiguous, byId(good)], 409, 'ambiguous-name', ['0 ambiguous-name']],
      [[byId(good), byId(expired)], 410, 'expired', ['1 expired']],
      [[byId(damaged)], 500, 'decryption-failed', ['0 decryption-failed']],
      // 404 only if all are missing: External Secrets Operator deletes its copy on a 404.
      [
        [missing, byId(good), ambiguous, byId(expired)],
        410,
        'expired',
        ['0 not-found', '2 ambiguous-name', '3 expired']
      ],
      [
        [byId(expired), byId(damaged), missing],
        500,
        'decryption-failed',
        ['0 expired', '1 decryption-failed', '2 not-found']
      ]
    ]
    for (const [credentials, status, code, errors] of cases) {
      const { json, text, ...answer } = await ask(credentials)
      t.same([answer.status, json.code], [status, code], JSON.stringify(errors))
      t.same(
        json.errors.map((one: { path: string; code: string }) => `${one.path} ${one.code}`),
        errors.map((one) => `/body/credentials/${one}`)
      )
      t.notMatch(text, /hunter2|missing one|twin|"values"/i, 'neither input nor values')
    }
    t.match((await ask([byId(good)], { environment: 'staging' })).json, {
      status: 404,
      code: 'environment-not-configured'
    })
    t.same(await events('credential.resolved', good.id), [], 'nothing was resolved')
    t.match(await events('resolveCredentials', elsewhere.id), [{ outcome: 'denied', project_id: null }])
    t.match(await events('resolveCredentials', damaged.id), [{ details: { code: 'decryption-failed' } }])

    const whole = await ask([byId(good), { name: good.credentialName }])
    t.same(
      [whole.status, whole.json.results.map((one: { status: string }) => one.status)],
      [200, ['resolved', 'resolved']]
    )
    t.equal((await events('credential.resolved', good.id)).length, 1)
    t.equal((await ask([missing], { onError: 'report' })).status, 200, 'the default')
    t.equal((await ask([missing], { onError: 'other' })).status, 400)
    t.equal((await machine.post('/api/v1/projects/nonsense/resolve', { credentials: [missing] })).status, 404)
  })

  t.test('can resolve up to a hundred credentials at once', async (t) => {
    const ids: string[] = []
    for (let i = 0; i < 100; i++) ids.push((await newCredential(ann, type, { projectIds: [project] })).id)
    const answer = await machine.post(url, { credentials: ids.map((id) => ({ id })) })
    t.ok(answer.json.results.every((one: { values?: object }) => one.values))
    t.equal(
      (
        await service.db
          .selectFrom('audit_log')
          .where('action', '=', 'credential.resolved')
          .where('target_id', 'in', ids)
          .select('id')
          .execute()
      ).length,
      100
    )
    t.equal(
      (await machine.post(url, { credentials: [...ids, ids[0]].map((id) => ({ id })) })).status,
      400,
      'more are refused'
    )
  })

  t.test('can send a body with a hundred of the longest names, but no larger one', async (t) => {
    const escaped = '\\ud83d\\udd11'.repeat(200)
    const names = Array.from(
      { length: 100 },
      (_, i) => `{"name":"${i}${escaped.slice(12 * String(i).length)}"}`
    )
    const body = `{"credentials":[${names.join(',')}]}`
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${machine.bearer}` }
    const ask = (body: string) => send(service.origin, url, { method: 'POST', headers, body })
    t.equal((await ask(body)).status, 200)
    t.match((await ask(body.padEnd(256 * 1024 + 1))).json, { status: 413, code: 'body-too-large' })
  })

  t.test('must send either an id or a name', async (t) => {
    const cases = [{}, { id: UNKNOWN, name: 'x' }, { id: 'x' }, { name: '' }, { name: 'x', more: 1 }]
    for (const bad of cases)
      t.equal((await machine.post(url, { credentials: [bad] })).status, 400, JSON.stringify(bad))
    t.equal((await machine.post(url, { credentials: [] })).status, 400)
    t.equal((await machine.post(url, { credentials: [{ id: UNKNOWN }], environment: 'No Slug' })).status, 400)
  })

  t.test('have no access to other operations', async (t) => {
    const { id } = await newCredential(ann, type, { projectIds: [project] })
    const all = await newToken(ann, ['credentials:read', 'credentials:resolve', 'usages:write'], {
      projectId: project
    })
    const other = await newToken(ann, ['credentials:read', 'credentials:resolve', 'usages:write'], {
      projectId: await newProject(ann)
    })
    const refused: [string, string, object?][] = [
      ['GET', path],
      ['POST', path, { credentialName: 'x', credentialTypeId: type.id, keys: [] }],
      ['GET', `${path}/${id}`],
      ['PUT', `${path}/${id}`, { description: 'x' }],
      ['DELETE', `${path}/${id}`],
      ['POST', `${path}/${id}/reveal`, {}],
      ['POST', `${path}/${id}/assign-projects`, { projectIds: [] }],
      ['GET', '/api/v1/projects'],
      ['GET', `/api/v1/projects/${project}`],
      ['GET', '/api/v1/credential-types'],
      ['GET', '/api/v1/access-tokens'],
      ['POST', '/api/v1/access-tokens', { name: 'x', scopes: ['credentials:read'] }],
      ['GET', '/api/v1/audit-events'],
      ['GET', '/api/v1/session'],
      ['GET', '/api/credentials'],
      ['GET', `/api/projects/${project}/credentials`]
    ]
    for (const [method, route, body] of refused) {
      t.equal((await all.request(method, route, body)).status, 403, `${method} ${route}`)
    }
    const listed = await all.get(`${path}/by-project/${project}`)
    t.equal(listed.status, 200)
    t.match(listed.json.find((one: { id: string }) => one.id === id).projects, [{ id: project }])
    t.equal((await other.get(`${path}/by-project/${project}`)).status, 403)
    t.equal((await other.post(url, { credentials: [{ id }] })).status, 403)
    t.equal((await all.put(`${path}/${id}/usages/job`)).json.projectId, project)
    t.equal(
      (await other.put(`${path}/${id}/usages/job`)).status,
      404,
      'credentials of other projects are hidden'
    )
    t.equal((await other.delete(`${path}/${id}/usages/job`)).status, 404)
    await ann.put(`${path}/${id}/usages/people`)
    t.same(
      (await all.get(`${path}/${id}/usages`)).json.data.map((one: { consumer: string }) => one.consumer),
      ['job'],
      'it sees only usages of its project'
    )
    t.equal(
      (await all.delete(`${path}/${id}/usages/people`)).status,
      404,
      'it cannot remove usages of others'
    )
    t.equal((await all.delete(`${path}/${id}/usages/job`)).status, 200)
    for (const person of [ann, service.admin, await newToken(ann, ['credentials:reveal'])]) {
      t.equal((await person.post(url, { credentials: [{ id }] })).status, 403, 'users cannot resolve')
    }
  })

  t.test('are created, listed and revoked by admins of the project, and outlive them', async (t) => {
    const [carl, dora] = [await service.newUser(), await service.newUser()]
    const owned = await newProject(ann)
    await addMember(ann, owned, carl, 'admin')
    await addMember(ann, owned, dora, 'editor')
    const body = { name: 'Runner', scopes: ['credentials:resolve'], projectId: owned }
    t.equal((await dora.post('/api/v1/access-tokens', body)).status, 403)
    t.equal((await bob.post('/api/v1/access-tokens', body)).status, 403)
    t.equal((await ann.post('/api/v1/access-tokens', { ...body, projectId: UNKNOWN })).status, 404)
    t.equal(
      (await ann.post('/api/v1/access-tokens', { ...body, scopes: ['credentials:reveal'] })).json.errors[0]
        .path,
      '/body/scopes/0'
    )
    const runner = await newToken(carl, ['credentials:resolve'], { projectId: owned })
    const list = await ann.get(`/api/v1/access-tokens?projectId=${owned}`)
    t.match(list.json.data, [{ projectId: owned, scopes: ['credentials:resolve'] }])
    t.notOk(list.text.includes('lk_prj_'))
    t.equal((await dora.get(`/api/v1/access-tokens?projectId=${owned}`)).status, 403)
    t.equal((await carl.get('/api/v1/access-tokens')).json.total, 0, 'it is not a personal token of carl')
    await ann.delete(`/api/v1/projects/${owned}/members/${carl.person.id}`)
    await service.admin.put(`/api/v1/users/${carl.person.id}`, { disabled: true })
    const { id } = await newCredential(ann, type, { projectIds: [owned] })
    const route = `/api/v1/projects/${owned}/resolve`
    t.ok((await runner.post(route, { credentials: [{ id }] })).json.results[0].values)
    t.equal((await dora.delete(`/api/v1/access-tokens/${list.json.data[0].id}`)).status, 404)
    t.equal((await ann.delete(`/api/v1/access-tokens/${list.json.data[0].id}`)).status, 200)
    t.equal((await runner.post(route, { credentials: [{ id }] })).status, 401, 'the token is revoked at once')
  })
})

t.test('a credential is transferred to another user', async (t) => {
  const service = await startTestApp(t)
  const [ann, bob, eve] = [await service.newUser(), await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const [open, closed] = [await newProject(ann), await newProject(ann)]
  await addMember(ann, open, bob, 'editor')
  await addMember(ann, closed, bob, 'viewer')
  const { id, credentialName } = await newCredential(ann, type, { projectIds: [open, closed] })
  const url = `${path}/${id}/transfer`
  const to = (client: typeof bob) => ({ email: client.person.email })

  const refused = await ann.post(url, to(bob))
  t.equal(refused.status, 409)
  const withoutId = ({ status, json: { requestId: _, ...json } }: typeof refused) => ({ status, json })
  t.match(refused.json, { code: 'new-owner-may-not-link' })
  t.same(refused.json.projects, [open, closed].sort())
  for (const email of ['nobody@example.org', eve.person.email])
    t.same(
      withoutId(await ann.post(url, { email })),
      withoutId(refused),
      'the response does not reveal who has an account'
    )
  t.equal((await ann.post(url, to(ann))).status, 400)
  t.equal((await bob.post(url, to(bob))).status, 403, 'a member may not transfer it')
  t.equal((await eve.post(url, to(eve))).status, 404)
  await ann.post(`${path}/${id}/assign-projects`, { projectIds: [open] })
  const twin = await newCredential(bob, type, { credentialName })
  const taken = withoutId(await ann.post(url, to(bob)))
  t.same(
    taken,
    withoutId(await ann.post(url, { email: 'nobody@example.org' })),
    'the response does not reveal names of credentials'
  )
  t.same(taken.json.projects, [open])
  await bob.delete(`${path}/${twin.id}`)
  t.equal((await ann.post(url, to(bob), { headers: { 'if-match': '"1"' } })).status, 412)
  t.same((await ann.post(url, { email: bob.person.email.toUpperCase() })).json, { success: true })
  t.match((await bob.get(`${path}/${id}`)).json, {
    ownerId: bob.person.id,
    revision: 3,
    projects: [{ id: open }]
  })
  t.equal((await bob.post(`${path}/${id}/reveal`, {})).status, 200, 'the new owner can reveal its values')
  t.equal(
    (await ann.post(`${path}/${id}/reveal`, {})).status,
    403,
    'the old owner, now only a member, cannot'
  )
  for (const person of [ann, bob]) {
    const events = await person.get(`/api/v1/audit-events?credentialId=${id}&action=credential.transferred`)
    t.match(events.json.data, [{ details: { from: ann.person.id, to: bob.person.id } }])
  }
})
