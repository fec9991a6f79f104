import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { addMember, newCredential, newProject, newType, reveal, uniqueName } from '../../helpers/fixtures.ts'

const path = '/api/v1/app-credentials'
const UNKNOWN = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'

t.test('credentials change', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const type = await newType(ann)
  const { host, password, note } = type.field as Record<string, string>

  t.test('only in the properties that are sent', async (t) => {
    const project = await newProject(ann)
    const made = await newCredential(ann, type, {
      description: 'd',
      projectIds: [project],
      expiresAt: '2030-01-01T00:00:00.000Z'
    })
    const url = `${path}/${made.id}`
    const was = { host: 'mail.example.org', password: 'hunter2 hunter2' }
    const name = uniqueName('renamed')
    const steps: [what: string, body: object, resource: object, values: object][] = [
      [
        'the name',
        { credentialName: name },
        { credentialName: name, description: 'd', revision: 2, projects: [{ id: project }] },
        was
      ],
      [
        'one value',
        { keys: [{ fieldId: password, keyValue: 'new secret' }] },
        { revision: 3 },
        { ...was, password: 'new secret' }
      ],
      [
        'an optional value',
        { keys: [{ fieldId: note, keyValue: 'n' }] },
        { revision: 4 },
        { ...was, password: 'new secret', note: 'n' }
      ],
      [
        'an empty text on a secret',
        {
          keys: [
            { fieldId: password, keyValue: '' },
            { fieldId: note, keyValue: '' }
          ]
        },
        {},
        { ...was, password: 'new secret', note: 'n' }
      ],
      [
        'null on an optional value',
        { keys: [{ fieldId: note, keyValue: null }] },
        {},
        { ...was, password: 'new secret' }
      ],
      ['no keys', { keys: [] }, {}, { ...was, password: 'new secret' }],
      [
        'null on a description',
        { description: null, expiresAt: null },
        { description: null, expiresAt: null },
        { ...was, password: 'new secret' }
      ],
      ['projects', { projectIds: [] }, { projects: [] }, { ...was, password: 'new secret' }]
    ]
    for (const [what, body, resource, values] of steps) {
      const answer = await ann.put(url, body)
      t.equal(answer.status, 200, what)
      t.match(answer.json, resource, what)
      t.equal(answer.headers.get('etag'), `"${answer.json.revision}"`)
      t.same((await ann.get(url)).json, answer.json, `${what}: a read returns the same as the change`)
      t.same(await reveal(ann, made.id), values, what)
    }
    const { revision } = (await ann.get(url)).json
    t.equal((await ann.put(url, {})).json.revision, revision, 'an empty update changes nothing')
  })

  t.test('not at all if the input is invalid', async (t) => {
    const made = await newCredential(ann, type)
    const taken = await newCredential(ann, type)
    const before = (await ann.get(`${path}/${made.id}`)).json
    const cases: [string, object, number][] = [
      ['another type', { credentialTypeId: type.id }, 400],
      ['an owner', { ownerId: UNKNOWN }, 400],
      ['a revision', { revision: 7 }, 400],
      ['a taken name', { credentialName: taken.credentialName.toUpperCase() }, 409],
      ['null on a required value', { keys: [{ fieldId: password, keyValue: null }] }, 400],
      ['nothing on a required plain value', { keys: [{ fieldId: host, keyValue: '' }] }, 400],
      [
        'a value that does not fit, beside one that does',
        {
          keys: [
            { fieldId: password, keyValue: 'x' },
            { fieldId: host, keyValue: 1 }
          ]
        },
        400
      ],
      ['an unknown field', { keys: [{ fieldId: UNKNOWN, keyValue: 'x' }] }, 400],
      ['null as a name', { credentialName: null }, 400],
      ['an unknown project, beside a name', { credentialName: uniqueName('x'), projectIds: [UNKNOWN] }, 404]
    ]
    for (const [name, body, status] of cases) {
      t.equal((await ann.put(`${path}/${made.id}`, body)).status, status, name)
    }
    t.same((await ann.get(`${path}/${made.id}`)).json, before)
    t.same(await reveal(ann, made.id), { host: 'mail.example.org', password: 'hunter2 hunter2' })
  })

  t.test('only at the revision in If-Match', async (t) => {
    const made = await newCredential(ann, type)
    const url = `${path}/${made.id}`
    const at = (ifMatch: string) => ({ headers: { 'if-match': ifMatch } })
    for (const stale of ['"0"', '"2"', 'W/"1"', '1', 'nonsense', '"1x"']) {
      const answer = await ann.put(url, { description: 'x' }, at(stale))
      t.equal(answer.status, 412, stale)
      t.equal(answer.json.code, 'revision-changed')
      t.equal((await ann.delete(url, at(stale))).status, 412, stale)
      t.equal((await ann.post(`${url}/assign-projects`, { projectIds: [] }, at(stale))).status, 412, stale)
    }
    t.equal((await ann.put(url, { description: 'x' }, at('"1"'))).json.revision, 2)
    t.equal((await ann.put(url, { description: 'y' }, at('"1", "2"'))).json.revision, 3)
    t.equal((await ann.put(url, { description: 'z' }, at('*'))).json.revision, 4)
    t.equal((await ann.delete(url, at('"4"'))).status, 200)
  })

  t.test('by concurrent requests, each of which is applied as a whole', async (t) => {
    const made = await newCredential(ann, type)
    const url = `${path}/${made.id}`
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        ann.put(url, {
          description: `round ${i}`,
          keys: [
            { fieldId: host, keyValue: `host ${i}` },
            { fieldId: password, keyValue: `password ${i}` }
          ]
        })
      )
    )
    t.ok(answers.every((answer) => answer.status === 200))
    t.same(
      answers.map((answer) => answer.json.revision).sort((a, b) => a - b),
      Array.from({ length: 20 }, (_, i) => i + 2)
    )
    const last = (await ann.get(url)).json
    t.equal(last.revision, 21)
    const i = last.description.replace('round ', '')
    t.same(await reveal(ann, made.id), { host: `host ${i}`, password: `password ${i}` })
    const winner = answers.find((answer) => answer.json.revision === 21)!
    t.equal(winner.json.description, last.description)
  })

  t.test('in their projects, which are set as a whole', async (t) => {
    const bob = await service.newUser()
    const [own, other] = [await newProject(ann), await newProject(ann)]
    const [editable, readable] = [await newProject(bob), await newProject(bob)]
    await addMember(bob, editable, ann, 'editor')
    await addMember(bob, readable, ann, 'viewer')
    const made = await newCredential(ann, type, { projectIds: [own] })
    const url = `${path}/${made.id}/assign-projects`
    const first = await ann.post(url, { projectIds: [own, editable] })
    t.equal(first.status, 200)
    t.equal(first.headers.get('etag'), '"2"')
    t.same(
      first.json.map((link: { projectId: string }) => link.projectId),
      [own, editable]
    )
    t.match(first.json[0], { credentialId: made.id, assignedBy: ann.person.id })

    const second = await ann.post(url, { projectIds: [other, editable] })
    t.same(
      second.json.map((link: { projectId: string }) => link.projectId),
      [editable, other]
    )
    t.same(second.json[0], first.json[1], 'an existing link is not changed')

    const cases: [string, string[], number][] = [
      ['as a viewer', [readable], 403],
      ['unknown', [UNKNOWN], 404],
      ['twice', [own, own], 400],
      ['malformed', ['x'], 400]
    ]
    for (const [name, projectIds, status] of cases) {
      t.equal((await ann.post(url, { projectIds })).status, status, name)
    }
    t.same((await ann.get(`${path}/${made.id}`)).json.projects.length, 2, 'a refusal changes nothing')

    await bob.put(`/api/v1/projects/${editable}/members/${ann.person.id}`, { role: 'viewer' })
    t.equal(
      (await ann.post(url, { projectIds: [editable, own] })).status,
      200,
      'keeping a link requires no role'
    )
    t.same((await ann.post(url, { projectIds: [] })).json, [])
    t.equal((await bob.get(`${path}/${made.id}`)).status, 404, 'members no longer see it')
  })

  t.test('and are deleted with their values and links', async (t) => {
    const project = await newProject(ann)
    const made = await newCredential(ann, type, { projectIds: [project] })
    const url = `${path}/${made.id}`
    await service.db
      .insertInto('credential_usages')
      .values({ credential_id: made.id, consumer: 'workflow:42', project_id: null })
      .execute()
    const used = await ann.delete(url)
    t.equal(used.status, 409)
    t.match(used.json, { code: 'credential-in-use', consumers: ['workflow:42'] })
    t.equal((await ann.get(url)).json.usageCount, 1)
    t.equal(Object.keys(await reveal(ann, made.id)).length, 2, 'a refusal deletes nothing')

    await service.db.deleteFrom('credential_usages').where('credential_id', '=', made.id).execute()
    const gone = await ann.delete(url)
    t.equal(gone.status, 200)
    t.same(gone.json, { success: true })
    t.equal((await ann.get(url)).status, 404)
    t.equal((await ann.delete(url)).status, 404)
    for (const table of ['credential_keys', 'credential_environments', 'credential_projects'] as const) {
      const rows = await service.db
        .selectFrom(table)
        .where('credential_id', '=', made.id)
        .select('credential_id')
        .execute()
      t.equal(rows.length, 0, table)
    }
    t.equal((await ann.get(`/api/v1/projects/${project}`)).status, 200)
  })
})
