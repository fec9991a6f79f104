import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { newCredential, newProject, newType, reveal, uniqueName } from '../helpers/fixtures.ts'
import { send } from '../helpers/raw-request.ts'

/** Patches that are applied to a json value in sequence, each with the result. */
const MERGES: [object, string][] = [
  [{ keep: 1, nest: { x: 1, y: 2 } }, '{"a":1,"keep":1,"nest":{"x":1,"y":2}}'],
  [{ new: 5, nest: { x: null } }, '{"a":1,"keep":1,"nest":{"y":2},"new":5}'],
  [{ a: null, nest: { y: null } }, '{"keep":1,"nest":{},"new":5}'],
  [{ nest: 'text', new: [null, { z: null }] }, '{"keep":1,"nest":"text","new":[null,{"z":null}]}'],
  [{ nest: { deep: { gone: null } }, keep: null }, '{"nest":{"deep":{}},"new":[null,{"z":null}]}'],
  [{}, '{"nest":{"deep":{}},"new":[null,{"z":null}]}']
]

const MERGE_PATCH = 'application/merge-patch+json'

t.test('PATCH changes only what is sent (RFC 7396)', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const patch = (path: string, body: object, headers: Record<string, string> = {}) =>
    ann.request('PATCH', path, undefined, {
      raw: JSON.stringify(body),
      headers: { 'content-type': MERGE_PATCH, ...headers }
    })

  t.test('of a credential', async (t) => {
    const type = await newType(ann)
    const project = await newProject(ann)
    const { id, credentialName } = await newCredential(ann, type, {
      description: 'd',
      projectIds: [project],
      expiresAt: '2030-01-01T00:00:00.000Z'
    })
    const path = `/api/v1/app-credentials/${id}`
    const { status, json, headers } = await patch(path, { description: null, expiresAt: null })
    t.equal(status, 200)
    t.equal(headers.get('etag'), '"2"')
    t.match(json, { credentialName, description: null, expiresAt: null, projects: [{ id: project }] })
    t.match((await patch(path, { projectIds: [] })).json, { projects: [], credentialName })
    t.equal((await patch(path, {})).json.revision, 3, 'an empty patch changes nothing')
    t.same(
      await reveal(ann, id),
      { host: 'mail.example.org', password: 'hunter2 hunter2' },
      'values are kept'
    )

    t.equal((await patch(path, { description: 'x' }, { 'if-match': '"1"' })).status, 412)
    t.equal((await patch(path, { description: 'x' }, { 'if-match': '"3"' })).status, 200)
    t.equal(
      (await ann.request('PATCH', path, { description: 'y' })).json.description,
      'y',
      'also as application/json'
    )
    for (const body of [{ credentialName: null }, { keys: [] }, { credentialTypeId: type.id }, []])
      t.match((await patch(path, body)).json, { status: 400, code: 'validation-failed' })
    const events = await ann.get(`/api/v1/audit-events?credentialId=${id}&action=credential.updated`)
    t.same(events.json.data[0].details.changed, ['description'])
  })

  t.test('of individual values of a credential', async (t) => {
    const credential = await newCredential(ann, await newType(ann))
    const path = `/api/v1/app-credentials/${credential.id}`
    const was = { host: 'mail.example.org', password: 'hunter2 hunter2' }
    t.equal((await patch(path, { values: { note: 'n', host: 'other' } })).status, 200)
    t.same(await reveal(ann, credential.id), { ...was, host: 'other', note: 'n' })
    t.equal((await patch(path, { values: { note: null, host: was.host } })).status, 200)
    t.same(await reveal(ann, credential.id), was, 'null removes a value')
    t.same(await reveal(ann, (await patch(path, { values: {} })).json.id), was)
    for (const values of [{ password: null }, { unheard: 'x' }, [], 'x'])
      t.match((await patch(path, { values })).json, { status: 400, code: 'validation-failed' })
    t.same(await reveal(ann, credential.id), was, 'a refusal changes nothing')

    const raw = { credentialName: uniqueName('raw'), credentialType: 'raw', values: { body: { a: 1 } } }
    const json = `/api/v1/app-credentials/${(await ann.post('/api/v1/app-credentials', raw)).json.id}`
    for (const [patched, becomes] of MERGES) {
      t.equal((await patch(json, { values: { body: patched } })).status, 200)
      const revealed = await ann.post(`${json}/reveal`, {})
      t.match(revealed.text, `"keyValue":${becomes}`, becomes)
    }
    const replaced = await ann.put(json, { values: { body: { b: null } } })
    t.equal(replaced.status, 200)
    t.match((await ann.post(`${json}/reveal`, {})).text, '"keyValue":{"b":null}', 'PUT replaces the value')

    const staging = `${path}/environments/staging`
    t.equal((await patch(staging, { values: was })).status, 200)
    t.equal((await patch(staging, { values: { password: 'of staging' } })).status, 200)
    t.same(await reveal(ann, credential.id, { environment: 'staging' }), { ...was, password: 'of staging' })
    t.same(await reveal(ann, credential.id), was)
    t.equal((await patch(staging, { keys: [] })).status, 400)
  })

  t.test('of a project, a type and a user', async (t) => {
    const project = await newProject(ann)
    const type = await newType(ann)
    const name = uniqueName('patched')
    const cases: [string, object, object][] = [
      [`/api/v1/projects/${project}`, { description: 'd' }, { description: 'd' }],
      [`/api/v1/projects/${project}`, { description: null }, { description: null }],
      [`/api/v1/credential-types/${type.id}`, { typeName: name }, { typeName: name }],
      [`/api/v1/users/${ann.person.id}`, { name }, { name, email: ann.person.email }]
    ]
    for (const [path, body, expected] of cases) t.match((await patch(path, body)).json, expected, path)
    t.equal((await patch(`/api/v1/projects/${project}`, { name: null })).status, 400)
    t.equal((await patch(`/api/v1/users/${ann.person.id}`, { role: 'admin' })).status, 403)
  })

  t.test('and other methods do not accept a merge patch', async (t) => {
    const project = await newProject(ann)
    const options = { raw: '{"name":"x"}', headers: { 'content-type': MERGE_PATCH } }
    const refused = ['PUT', 'POST'].map((method) =>
      ann.request(
        method,
        method === 'PUT' ? `/api/v1/projects/${project}` : '/api/v1/projects',
        undefined,
        options
      )
    )
    for (const { status } of await Promise.all(refused)) t.equal(status, 415)
    const compressed = { ...options.headers, 'content-encoding': 'gzip' }
    const path = `/api/v1/projects/${project}`
    t.equal((await ann.request('PATCH', path, undefined, { raw: '{}', headers: compressed })).status, 415)
    t.equal(
      (await ann.request('PATCH', path, undefined, { ...options, headers: { 'content-type': 'text/plain' } }))
        .status,
      415
    )
    const members = `/api/v1/projects/${project}/members/${ann.person.id}`
    const answer = await send(service.origin, members, {
      method: 'PATCH',
      headers: { cookie: ann.cookie!, 'content-type': 'application/json' },
      body: '{}'
    })
    t.notMatch(answer, { status: 200 }, 'a member has only a role, which PUT changes')
  })
})
