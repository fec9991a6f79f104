import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Client } from '../../helpers/client.ts'
import { addMember, newCredential, newProject, newType, reveal, uniqueName } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'

const path = '/api/credentials'
const v1 = '/api/v1/app-credentials'
const UNKNOWN = 'a1b2c3d4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
const names = (answer: { json: { credentials: { name: string }[] } }) =>
  answer.json.credentials.map((one) => one.name)

t.test('the Lightning-compatible API', async (t) => {
  const service = await startTestApp(t)

  t.test('accepts the two example requests of Lightning', async (t) => {
    const ann = await service.newUser()
    const plain = await ann.post(path, { name: 'My API Key', body: { apiKey: 'secret123' } })
    t.equal(plain.status, 201)
    t.match(plain.json, {
      credential: {
        name: 'My API Key',
        schema: 'raw',
        external_id: null,
        user_id: ann.person.id,
        body: { apiKey: 'secret123' },
        project_credentials: [],
        projects: []
      },
      errors: {}
    })
    t.match(plain.json.credential.inserted_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    const project = await newProject(ann)
    const shared = await ann.post(path, {
      name: 'Shared Credential',
      body: { token: 'abc123' },
      project_credentials: [{ project_id: project }, { project_id: project }]
    })
    t.equal(shared.status, 201)
    const { credential } = shared.json
    t.equal(credential.project_credentials.length, 1, 'a repeated project is linked once')
    t.match(credential.project_credentials[0], { project_id: project, credential_id: credential.id })
    t.match(credential.projects, [{ id: project, description: null }])
    const list = await ann.get(path)
    const { body: _, ...rest } = credential
    t.same(
      list.json.credentials.find((one: { id: string }) => one.id === credential.id),
      rest,
      'listed as created, without the body'
    )
    t.notMatch(list.text, /secret123|abc123|"body"/)
  })

  t.test('lists the caller’s credentials, sorted by lower-cased name in byte order', async (t) => {
    const [ann, bob] = [await service.newUser(), await service.newUser()]
    for (const name of ['b', 'A', 'a b', 'Z', '_', 'é', 'a_b']) await ann.post(path, { name, body: { x: 1 } })
    await bob.post(path, { name: 'of Bob', body: { x: 1 } })
    t.same(names(await ann.get(path)), ['_', 'A', 'a b', 'a_b', 'b', 'Z', 'é'])
    t.same(names(await ann.get(`${path}?unknown=1`)).length, 7, 'unknown parameters are ignored')
  })

  t.test('lists the credentials of a project, by either route, only for its members', async (t) => {
    const [ann, bob, eve] = [await service.newUser(), await service.newUser(), await service.newUser()]
    const [project, other] = [await newProject(ann), await newProject(ann)]
    await addMember(ann, project, bob, 'viewer')
    await ann.post(path, {
      name: 'of Ann',
      body: {},
      project_credentials: [{ project_id: project }, { project_id: other }]
    })
    for (const route of [`${path}?project_id=${project}`, `/api/projects/${project}/credentials`]) {
      const seen = await bob.get(route)
      t.equal(seen.status, 200, 'viewers can list')
      t.same(names(seen), ['of Ann'])
      t.same(
        seen.json.credentials[0].projects.map((one: { id: string }) => one.id),
        [project],
        'other projects are not shown'
      )
      t.equal(seen.json.credentials[0].project_credentials.length, 1)
      const refused = await eve.get(route)
      t.equal(refused.status, 403)
      t.same(refused.json, { error: 'Forbidden' })
    }
    for (const id of [UNKNOWN, 'x', '']) {
      const missing = await ann.get(`${path}?project_id=${id}`)
      t.equal(missing.status, 404, id)
      t.same(missing.json, { error: 'Not Found' })
    }
    t.same((await ann.get(`/api/projects/${UNKNOWN}/credentials`)).json, { error: 'Not Found' })
  })

  t.test('creates only if the caller is an editor or above in every project', async (t) => {
    const [ann, bob] = [await service.newUser(), await service.newUser()]
    for (const role of ['owner', 'admin', 'editor', 'viewer', 'none', 'unknown']) {
      const project = role === 'unknown' ? UNKNOWN : await newProject(bob)
      if (!['none', 'unknown'].includes(role)) await addMember(bob, project, ann, role)
      const own = await newProject(ann)
      const name = uniqueName(role)
      const answer = await ann.post(path, {
        name,
        body: {},
        project_credentials: [{ project_id: own }, { project_id: project }]
      })
      const allowed = ['owner', 'admin', 'editor'].includes(role)
      t.equal(answer.status, allowed ? 201 : 403, role)
      if (!allowed) t.same(answer.json, { error: 'Forbidden' }, role)
      t.equal(names(await ann.get(path)).includes(name), allowed, `${role}: all or nothing`)
    }
  })

  t.test('refuses with Lightning’s messages, which do not contain the value', async (t) => {
    const ann = await service.newUser()
    await ann.post(path, { name: 'Taken', body: {}, external_id: 'ext-1' })
    const type = await newType(ann)
    const { typeName } = (await ann.get(`/api/v1/credential-types/${type.id}`)).json
    const canary = 'CANARY-51c2'
    const deep = JSON.parse(`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`)
    const cases: [string, unknown, Record<string, string | RegExp>][] = [
      ['nothing', {}, { name: "can't be blank" }],
      ['no name', { body: {} }, { name: "can't be blank" }],
      ['a blank name', { name: '  ', body: {} }, { name: "can't be blank" }],
      ['no body', { name: 'x' }, { body: "can't be blank" }],
      ['a list as the request', [canary], { name: "can't be blank" }],
      [
        'a taken name',
        { name: ' taken ', body: {} },
        { name: 'you have another credential with the same name' }
      ],
      [
        'a taken external id',
        { name: 'x', body: {}, external_id: 'ext-1' },
        { external_id: 'you already have a credential with the same external ID' }
      ],
      [
        'a name of 10,000 characters',
        { name: 'x'.repeat(10_000), body: {} },
        { name: 'credential name has invalid format' }
      ],
      [
        'a name with a line break',
        { name: 'x\ny', body: {} },
        { name: 'credential name has invalid format' }
      ],
      ['a name that is a number', { name: 5, body: {} }, { name: 'credential name has invalid format' }],
      ['a body that is a list', { name: 'x', body: [canary] }, { body: 'must be a JSON object' }],
      ['a body that is a text', { name: 'x', body: canary }, { body: 'must be a JSON object' }],
      ['bodies null', { name: 'x', credential_bodies: null }, { body: "can't be blank" }],
      [
        'bodies that are no list',
        { name: 'x', credential_bodies: { main: {} } },
        { credential_bodies: 'must be a list' }
      ],
      ['bodies empty', { name: 'x', credential_bodies: [] }, { credential_bodies: "can't be blank" }],
      [
        'a body without environment',
        { name: 'x', credential_bodies: [{ name: 'main', body: {} }, { body: {} }] },
        { credential_bodies: 'Environment 2: name must be a short slug' }
      ],
      [
        'an invalid environment',
        { name: 'x', credential_bodies: [{ name: 'No Slug', body: {} }] },
        { credential_bodies: 'Environment 1: name must be a short slug' }
      ],
      [
        'an environment twice',
        {
          name: 'x',
          credential_bodies: [
            { name: 'a', body: {} },
            { name: 'a', body: {} }
          ]
        },
        { credential_bodies: /more than once/ }
      ],
      ['a schema that is a number', { name: 'x', body: {}, schema: 1 }, { schema: 'is invalid' }],
      [
        'a schema of 201 characters',
        { name: 'x', body: {}, schema: canary.padEnd(201, 'x') },
        { schema: 'is invalid' }
      ],
      ['deep nesting', { name: 'x', body: deep }, { body: /./ }],
      ['a body over 64 KiB', { name: 'x', body: { a: 'x'.repeat(66_000) } }, { body: /64 KiB/ }],
      ['a NUL', { name: 'x', body: { a: '\0' } }, { body: /./ }],
      [
        'a property that is not a field',
        { name: 'x', schema: typeName, body: { [canary]: 1 } },
        { body: /not a field/ }
      ],
      [
        'a required field missing',
        { name: 'x', schema: typeName, body: { host: 'h' } },
        { body: /password can't be blank/ }
      ],
      [
        'a value of another type',
        { name: 'x', schema: typeName, body: { host: 5, password: canary } },
        { body: /^host: / }
      ],
      [
        'projects that are no list',
        { name: 'x', body: {}, project_credentials: { project_id: UNKNOWN } },
        { project_credentials: 'must be a list' }
      ],
      [
        'a malformed project',
        { name: 'x', body: {}, project_credentials: [{ project_id: canary }] },
        { project_credentials: /invalid/ }
      ],
      [
        'a project that is a number',
        { name: 'x', body: {}, project_credentials: [5] },
        { project_credentials: /invalid/ }
      ]
    ]
    for (const [name, body, errors] of cases) {
      const answer = await ann.post(path, body)
      t.equal(answer.status, 422, `${name}: ${answer.text}`)
      for (const [field, message] of Object.entries(errors))
        t.match(answer.json.errors?.[field]?.[0], message, name)
      t.notMatch(answer.text, canary, `${name}: input is not echoed`)
    }
    t.same(names(await ann.get(path)), ['Taken'], 'nothing was written')
    t.notMatch(service.log.join(''), canary)
    const json = { headers: { 'content-type': 'application/json' } }
    t.same((await ann.post(path, undefined, { ...json, raw: '{"name":' })).json, { error: 'Bad Request' })
    t.equal(
      (await ann.post(path, undefined, { headers: { 'content-type': 'text/plain' }, raw: 'x' })).status,
      415
    )
  })

  t.test('ignores unknown properties, such as an owner', async (t) => {
    const [ann, bob] = [await service.newUser(), await service.newUser()]
    const made = await ann.post(path, {
      name: 'x',
      body: { a: 1 },
      user_id: bob.person.id,
      production: true,
      project_credentials: [{ project_id: await newProject(ann), id: 7 }]
    })
    t.equal(made.status, 201)
    t.equal(made.json.credential.user_id, ann.person.id)
  })

  t.test('deletes, after checking id, existence, ownership and usages in this order', async (t) => {
    const [ann, bob] = [await service.newUser(), await service.newUser()]
    const { id } = (await ann.post(path, { name: 'x', body: { a: 1 } })).json.credential
    const aside = { raw: '"a\\u0000b"', headers: { 'content-type': 'application/json' } }
    for (const [missing, options] of [
      ['x', {}],
      [UNKNOWN, {}],
      // The operation has no body, so a body is ignored.
      [UNKNOWN, aside]
    ] as const) {
      const answer = await ann.delete(`${path}/${missing}`, options)
      t.equal(answer.status, 404)
      t.same(answer.json, { error: 'Not Found' })
    }
    await ann.put(`${v1}/${id}/usages/workflow%3A42`)
    for (const stranger of [bob, service.admin]) {
      const answer = await stranger.delete(`${path}/${id}`)
      t.equal(answer.status, 403)
      t.same(answer.json, { error: 'Forbidden' })
    }
    const used = await ann.delete(`${path}/${id}`)
    t.equal(used.status, 409)
    t.same(used.json, { error: 'Conflict', usages: ['workflow:42'] })
    await ann.delete(`${v1}/${id}/usages/workflow%3A42`)
    const gone = await ann.delete(`${path}/${id}`)
    t.equal(gone.status, 204)
    t.equal(gone.text, '')
    t.equal((await ann.delete(`${path}/${id}`)).status, 404)
  })

  t.test('shows credentials that the other API creates, and vice versa', async (t) => {
    const ann = await service.newUser()
    const { id } = (
      await ann.post(path, { name: 'Made here', body: { apiKey: 'k', n: 1 }, external_id: 'e-9' })
    ).json.credential
    const there = await ann.get(`${v1}/${id}`)
    t.match(there.json, {
      credentialName: 'Made here',
      credentialType: { typeName: 'raw' },
      keys: [{ fieldName: 'body', hasValue: true }]
    })
    t.same(await reveal(ann, id), { body: { apiKey: 'k', n: 1 } })

    const type = await newType(ann)
    const { typeName } = (await ann.get(`/api/v1/credential-types/${type.id}`)).json
    const typed = await ann.post(path, {
      name: 'Typed',
      schema: typeName.toUpperCase(),
      body: { host: 'h', password: 'p' }
    })
    t.equal(typed.status, 201)
    t.equal(typed.json.credential.schema, typeName)
    t.same(await reveal(ann, typed.json.credential.id), { host: 'h', password: 'p' })

    const made = await newCredential(ann, type)
    t.ok(names(await ann.get(path)).includes(made.credentialName))
    t.equal((await ann.delete(`${path}/${made.id}`)).status, 204)
    t.equal((await ann.get(`${v1}/${made.id}`)).status, 404)

    const environments = await ann.post(path, {
      name: 'Several',
      credential_bodies: [
        { name: 'main', body: { a: 'main' } },
        { name: 'staging', body: { a: 'staging' } }
      ]
    })
    t.same(environments.json.credential.body, { a: 'main' })
    const several = `${v1}/${environments.json.credential.id}`
    t.same((await ann.get(several)).json.environments, ['main', 'staging'])
    const staging = await ann.post(`${several}/reveal`, { environment: 'staging' })
    t.same(staging.json.keys[0].keyValue, { a: 'staging' })
  })

  t.test('returns the stored response to a retry, without the body', async (t) => {
    const ann = await service.newUser()
    const headers = { 'idempotency-key': 'l-1' }
    const request = { name: 'Once', body: { apiKey: 'CANARY-9d1' } }
    const first = await ann.post(path, request, { headers })
    const again = await ann.post(path, request, { headers })
    t.equal(again.headers.get('idempotency-replayed'), 'true')
    t.same(again.json, first.json)
    const box = service.app.services.keyring.answers(ann.person.id, 'l-1')
    const row = await service.db
      .selectFrom('idempotency_keys')
      .where('key', '=', 'l-1')
      .select('answer')
      .executeTakeFirstOrThrow()
    t.notMatch(box.open([], row.answer!).toString(), 'CANARY')
    const other = await ann.post(path, { ...request, name: 'Other' }, { headers })
    t.equal(other.status, 422)
  })

  t.test('refuses unauthenticated callers, and tokens without the scope', async (t) => {
    const ann = await service.newUser()
    const routes: [string, string, object | undefined][] = [
      ['GET', path, undefined],
      ['GET', `/api/projects/${UNKNOWN}/credentials`, undefined],
      ['POST', path, { name: 'x', body: {} }],
      ['DELETE', `${path}/${UNKNOWN}`, undefined]
    ]
    const nobody = service.anonymous()
    const bad = service.anonymous()
    bad.bearer = 'lk_pat_nonsense'
    const reveals: Client = await newToken(ann, ['credentials:reveal'])
    for (const [method, url, body] of routes) {
      for (const caller of [nobody, bad]) {
        const answer = await caller.request(method, url, body)
        t.equal(answer.status, 401, `${method} ${url}`)
        t.same(answer.json, { error: 'Unauthorized' })
      }
      const scopeless = await reveals.request(method, url, body)
      t.equal(scopeless.status, 403, `${method} ${url}`)
      t.same(scopeless.json, { error: 'Forbidden' })
    }
    const reader = await newToken(ann, ['credentials:read', 'credentials:write'])
    const made = await reader.post(path, { name: 'By token', body: { a: 1 } })
    t.equal(made.status, 201)
    t.same(names(await reader.get(path)), ['By token'])
    t.equal((await reader.delete(`${path}/${made.json.credential.id}`)).status, 204)
  })
})
