import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { addMember, newCredential, newProject, newType, reveal } from '../../helpers/fixtures.ts'

const path = '/api/v1/app-credentials'
const UNKNOWN = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'

t.test('environments and usages', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const type = await newType(ann)
  const { host, password, note } = type.field as Record<string, string>
  const revealed = async (id: string, environment: string) => {
    const answer = await ann.post(`${path}/${id}/reveal`, { environment })
    const keys = answer.json.keys as { fieldName: string; keyValue: unknown }[] | undefined
    return keys ? Object.fromEntries(keys.map((key) => [key.fieldName, key.keyValue])) : answer.json.code
  }

  t.test('a credential has separate values in each environment', async (t) => {
    const { id } = await newCredential(ann, type)
    const url = `${path}/${id}/environments/staging`
    t.equal(await revealed(id, 'staging'), 'environment-not-configured')
    const partial = await ann.put(url, { keys: [{ fieldId: host, keyValue: 'staging.example.org' }] })
    t.equal(partial.status, 400, 'a new environment needs all required values')
    t.same((await ann.get(`${path}/${id}`)).json.environments, ['main'])
    const made = await ann.put(url, {
      keys: [
        { fieldId: host, keyValue: 'staging.example.org' },
        { fieldId: password, keyValue: 'of staging' }
      ]
    })
    t.equal(made.status, 200)
    t.match(made.json, { environments: ['main', 'staging'], revision: 2 })
    t.equal(made.headers.get('etag'), '"2"')
    t.same(await revealed(id, 'staging'), { host: 'staging.example.org', password: 'of staging' })
    t.same(await revealed(id, 'main'), { host: 'mail.example.org', password: 'hunter2 hunter2' })

    await ann.put(url, { keys: [{ fieldId: note, keyValue: 'n' }] })
    t.same(
      await revealed(id, 'staging'),
      { host: 'staging.example.org', password: 'of staging', note: 'n' },
      'values that are not sent are kept'
    )
    await ann.put(`${path}/${id}`, { keys: [{ fieldId: password, keyValue: 'new main' }] })
    t.same(await reveal(ann, id), { host: 'mail.example.org', password: 'new main' })
    t.equal(
      ((await revealed(id, 'staging')) as { note: string }).note,
      'n',
      'other environments are not changed'
    )

    t.equal((await ann.delete(url, { headers: { 'if-match': '"1"' } })).status, 412)
    t.same((await ann.delete(url)).json, { success: true })
    t.equal((await ann.delete(url)).json.code, 'environment-not-configured')
    t.equal(await revealed(id, 'staging'), 'environment-not-configured')
    const main = await ann.delete(`${path}/${id}/environments/main`)
    t.equal(main.status, 409)
    t.equal(main.json.code, 'main-environment')
    t.equal((await ann.get(`${path}/${id}`)).json.revision, 5)
  })

  t.test('with If-None-Match: * an environment is only created (RFC 9110, 13.1.2)', async (t) => {
    const { id } = await newCredential(ann, type)
    const url = `${path}/${id}/environments/staging`
    const before = { host: 'staging.example.org', password: 'of staging' }
    t.equal((await ann.put(url, { values: before })).status, 200)
    const onlyCreates = { headers: { 'if-none-match': '*' } }
    const values = { host: 'raced.example.org', password: 'raced' }
    for (const method of ['PUT', 'PATCH'])
      t.match((await ann.request(method, url, { values }, onlyCreates)).json, {
        status: 412,
        code: 'revision-changed'
      })
    t.match(
      await revealed(id, 'staging'),
      { password: 'of staging' },
      'an existing environment is not changed'
    )
    const raced = await Promise.all([1, 2, 3].map(() => ann.put(`${url}2`, { values }, onlyCreates)))
    t.same(raced.map(({ status }) => status).sort(), [200, 412, 412])
  })

  t.test('a value of one environment does not open in another', async (t) => {
    const { id } = await newCredential(ann, type)
    const keys = [
      { fieldId: host, keyValue: 'h' },
      { fieldId: password, keyValue: 'p' }
    ]
    await ann.put(`${path}/${id}/environments/staging`, { keys })
    const { value } = await service.db
      .selectFrom('credential_keys')
      .where('credential_id', '=', id)
      .where('environment', '=', 'staging')
      .where('field_id', '=', password!)
      .select('value')
      .executeTakeFirstOrThrow()
    await service.db
      .updateTable('credential_keys')
      .set({ value })
      .where('credential_id', '=', id)
      .where('environment', '=', 'main')
      .where('field_id', '=', password!)
      .execute()
    t.equal(await revealed(id, 'main'), 'decryption-failed')
    t.same(await revealed(id, 'staging'), { host: 'h', password: 'p' })
  })

  t.test('environment names are slugs, and only the owner changes environments', async (t) => {
    const bob = await service.newUser()
    const project = await newProject(ann)
    await addMember(ann, project, bob, 'admin')
    const { id } = await newCredential(ann, type, { projectIds: [project] })
    for (const bad of ['No', '-a', 'a'.repeat(33), 'a.b', '%20']) {
      t.equal((await ann.put(`${path}/${id}/environments/${bad}`, { keys: [] })).status, 400, bad)
    }
    t.equal((await bob.put(`${path}/${id}/environments/staging`, { keys: [] })).status, 403)
    t.equal((await bob.delete(`${path}/${id}/environments/main`)).status, 403)
    t.equal((await ann.put(`${path}/${UNKNOWN}/environments/staging`, { keys: [] })).status, 404)
  })

  t.test('a credential with usages is not deleted', async (t) => {
    const bob = await service.newUser()
    const project = await newProject(ann)
    await addMember(ann, project, bob, 'admin')
    const { id } = await newCredential(ann, type, { projectIds: [project] })
    const usages = `${path}/${id}/usages`
    t.same((await ann.get(usages)).json.data, [])
    const made = await ann.put(`${usages}/workflow%3A42`)
    t.equal(made.status, 200)
    t.match(made.json, { consumer: 'workflow:42', projectId: null })
    t.same(
      (await ann.put(`${usages}/workflow%3A42`)).json,
      made.json,
      'repeating the request changes nothing'
    )
    await ann.put(`${usages}/job`)
    t.same((await ann.get(usages)).json.total, 2)
    t.equal((await ann.get(`${path}/${id}`)).json.usageCount, 2)
    t.match((await ann.delete(`${path}/${id}`)).json, {
      code: 'credential-in-use',
      consumers: ['job', 'workflow:42']
    })
    for (const [who, status] of [
      [bob, 403],
      [await service.newUser(), 404]
    ] as const) {
      t.equal((await who.get(usages)).status, status)
      t.equal((await who.put(`${usages}/x`)).status, status)
      t.equal((await who.delete(`${usages}/job`)).status, status)
    }
    for (const bad of ['a'.repeat(201), '%20', 'a%20b'])
      t.equal((await ann.put(`${usages}/${bad}`)).status, 400, bad)
    t.equal((await ann.delete(`${usages}/none`)).status, 404)
    t.same((await ann.delete(`${usages}/job`)).json, { success: true })
    await ann.delete(`${usages}/workflow%3A42`)
    t.equal((await ann.delete(`${path}/${id}`)).status, 200)
  })

  t.test('of a deletion and a concurrent usage registration, exactly one succeeds', async (t) => {
    let kept = 0
    for (let round = 0; round < 20; round++) {
      const { id } = await newCredential(ann, type)
      const [put, gone] = await Promise.all([ann.put(`${path}/${id}/usages/c`), ann.delete(`${path}/${id}`)])
      const exists = (await ann.get(`${path}/${id}`)).status === 200
      if (exists) {
        kept++
        t.same([put.status, gone.status], [200, 409])
      } else t.same([put.status, gone.status], [404, 200])
    }
    t.comment(`${kept} of 20 were kept`)
  })
})
