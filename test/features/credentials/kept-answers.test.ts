import { sql } from 'kysely'
import { LRUCache } from 'lru-cache'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { addMember, newCredential, newProject, newType } from '../../helpers/fixtures.ts'

const path = '/api/v1/app-credentials'

type Keys = { keys: { keyValue?: unknown }[] }
const withoutValues = (one: Keys) => ({ ...one, keys: one.keys.map(({ keyValue: _, ...key }) => key) })

t.test('what was read before is never what it was before', async (t) => {
  const service = await startTestApp(t)
  const [ann, bob, eve] = [await service.newUser(), await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const { host, note } = type.field
  const { id } = await newCredential(ann, type)
  const own = `${path}/${id}`
  const project = await newProject(ann)
  await addMember(ann, project, bob, 'editor')
  const fields = (await ann.get(`/api/v1/credential-types/${type.id}`)).json.fields as object[]

  const changes: [string, () => Promise<{ status: number }>, object][] = [
    ['its name', () => ann.put(own, { credentialName: 'other' }), { credentialName: 'other' }],
    ['its description', () => ann.put(own, { description: 'd' }), { description: 'd' }],
    [
      'its end',
      () => ann.put(own, { expiresAt: '2100-01-01T00:00:00.000Z' }),
      { expiresAt: '2100-01-01T00:00:00.000Z' }
    ],
    [
      'a value',
      () => ann.put(own, { keys: [{ fieldId: host, keyValue: 'other.example.org' }] }),
      { keys: [{ keyValue: 'other.example.org' }, {}, { hasValue: false }] }
    ],
    [
      'a secret value',
      () => ann.put(own, { keys: [{ fieldId: note, keyValue: 'n' }] }),
      { keys: [{}, {}, { hasValue: true }] }
    ],
    [
      'its environments',
      () =>
        ann.put(`${own}/environments/staging`, {
          keys: fields.slice(0, 2).map((field) => ({ fieldId: (field as { id: string }).id, keyValue: 's' }))
        }),
      { environments: ['main', 'staging'] }
    ],
    ['an environment less', () => ann.delete(`${own}/environments/staging`), { environments: ['main'] }],
    ['a consumer', () => ann.put(`${own}/usages/workflow:1`), { usageCount: 1 }],
    [
      'its projects',
      () => ann.post(`${own}/assign-projects`, { projectIds: [project] }),
      { projects: [{ id: project }] }
    ],
    [
      'the name of a project',
      () => ann.put(`/api/v1/projects/${project}`, { name: 'renamed' }),
      { projects: [{ name: 'renamed' }] }
    ],
    [
      'the name of its type',
      () => ann.put(`/api/v1/credential-types/${type.id}`, { typeName: 'type renamed' }),
      { credentialType: { typeName: 'type renamed' } }
    ],
    ['its owner', () => ann.post(`${own}/transfer`, { email: bob.person.email }), { ownerId: bob.person.id }]
  ]
  let last = (await ann.get(own)).text
  for (const [what, change, expected] of changes) {
    t.match({ status: (await change()).status }, { status: /^20[01]$/ }, what)
    const owner = what === 'its owner' ? bob : ann
    for (let i = 0; i < 3; i++) {
      const { json, text } = await owner.get(own)
      t.match(json, expected, what)
      t.not(text, last, what)
      if (i === 2) last = text
      t.strictSame((await owner.get(path)).json.data, [withoutValues(json)], `${what}, in a list`)
    }
  }

  t.same((await bob.get(own)).json.projects.length, 1)
  await ann.delete(`/api/v1/projects/${project}/members/${bob.person.id}`)
  t.same((await bob.get(own)).json.projects, [], 'each sees the projects that are his')
  t.equal((await ann.get(own)).json.projects.length, 1)
  t.same((await bob.get(own)).json.projects, [])
  const [seen] = (await ann.get(`${path}/by-project/${project}`)).json
  for (let i = 0; i < 2; i++) {
    t.same((await bob.get(path)).json.data[0].projects, [])
    t.same((await ann.get(`${path}/by-project/${project}`)).json, [seen])
    t.equal(seen.projects.length, 1)
  }
  for (let i = 0; i < 2; i++) t.equal((await eve.get(own)).status, 404)

  const flip = () =>
    sql`update credential_keys set value = set_byte(value, 20, get_byte(value, 20) # 1)
        where credential_id = ${id} and field_id = ${host}`.execute(service.db)
  await flip()
  for (let i = 0; i < 2; i++) t.equal((await bob.get(own)).json.code, 'decryption-failed', 'tampered with')
  await flip()
  t.equal((await bob.get(own)).status, 200)
  t.equal((await bob.delete(own)).status, 409)
  await bob.delete(`${own}/usages/workflow:1`)
  t.equal((await bob.delete(own)).status, 200)
  t.equal((await bob.get(own)).status, 404)
})

t.test('values are opened once for the same row, unless they are large', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const ann = await service.newUser()
  const type = await newType(ann, [
    { fieldName: 'text', fieldLabel: 'Text', fieldType: 'multiline', secret: false }
  ])
  const { keyring } = service.app.services
  const values = keyring.values.bind(keyring)
  let opened = 0
  keyring.values = (context) => {
    opened++
    return values(context)
  }
  for (const [length, times] of [
    [100, 1],
    [60_000, 3]
  ] as const) {
    const keyValue = 'a'.repeat(length)
    const { id } = await newCredential(ann, type, { keys: [{ fieldId: type.field['text'], keyValue }] })
    opened = 0
    for (let i = 0; i < 3; i++) t.equal((await ann.get(`${path}/${id}`)).json.keys[0].keyValue, keyValue)
    t.equal(opened, times, `${length} characters`)
  }
})

t.test('what is kept has nothing of who asked', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const ann = await service.newUser({ name: 'Ann Personal' })
  const { id } = await newCredential(ann, await newType(ann))
  const kept: unknown[] = []
  const { set } = LRUCache.prototype
  t.teardown(() => {
    LRUCache.prototype.set = set
  })
  LRUCache.prototype.set = function (key, value, options) {
    kept.push(value)
    return set.call(this, key, value, options)
  }
  await ann.get(`${path}/${id}`)
  const text = JSON.stringify(kept)
  t.match(text, 'mail.example.org')
  for (const own of [ann.person.email, 'Ann Personal', 'caller_']) t.notOk(text.includes(own), own)
})
