import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { addMember, newCredential, newProject, newType, reveal } from '../../helpers/fixtures.ts'

const UNKNOWN = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'
const path = '/api/v1/app-credentials'
const names = (answer: { json: { data: { credentialName: string }[] } }) =>
  answer.json.data.map((one) => one.credentialName)

t.test('credentials can be read', async (t) => {
  const service = await startTestApp(t)

  t.test('in pages, newest first, only those of the owner', async (t) => {
    const [ann, bob] = [await service.newUser(), await service.newUser()]
    const [type, other] = [await newType(ann), await newType(ann)]
    for (const name of ['one', 'two', 'three', 'Four'])
      await newCredential(ann, type, { credentialName: name })
    await newCredential(ann, other, {
      credentialName: 'five',
      keys: [
        { fieldId: other.field.host, keyValue: 'h' },
        { fieldId: other.field.password, keyValue: 'p' }
      ]
    })
    await newCredential(bob, type, { credentialName: 'of Bob' })

    const all = await ann.get(path)
    t.equal(all.status, 200)
    t.match(all.json, { total: 5, page: 1, pageSize: 20 })
    t.same(names(all), ['five', 'Four', 'three', 'two', 'one'])
    t.notOk(JSON.stringify(all.json).includes('keyValue'), 'no values in a list')
    t.match(all.json.data[0].keys[1], { fieldName: 'password', secret: true, hasValue: true })

    const second = await ann.get(`${path}?page=2&pageSize=2`)
    t.match(second.json, { total: 5, page: 2, pageSize: 2 })
    t.same(names(second), ['three', 'two'])
    const past = { data: [], total: 5, page: 4, pageSize: 2, nextCursor: null }
    t.same((await ann.get(`${path}?page=4&pageSize=2`)).json, past)
    t.same((await ann.get(`${path}?page=1000000000`)).json.data, [], 'far beyond the last page')
    t.same(names(await ann.get(`${path}?credentialTypeId=${other.id}`)), ['five'])
    t.same(names(await ann.get(`${path}?credentialTypeId=${type.id}&search=O`)), ['Four', 'two', 'one'])
    t.same((await ann.get(`${path}?credentialTypeId=${UNKNOWN}`)).json.total, 0)
    t.equal((await bob.get(path)).json.total, 1)
  })

  t.test('by a part of the name, without wildcards', async (t) => {
    const ann = await service.newUser()
    const type = await newType(ann)
    for (const name of ['100% sure', 'a_b', 'back\\slash', "quote ' quote", 'plain', 'Straße ÄÖ']) {
      await newCredential(ann, type, { credentialName: name })
    }
    const cases: [string, string[]][] = [
      ['%', ['100% sure']],
      ['_', ['a_b']],
      ['\\', ['back\\slash']],
      ["'", ["quote ' quote"]],
      ['PLAIN', ['plain']],
      ['äö', ['Straße ÄÖ']],
      ["'; drop table credentials; --", []],
      ['%%%', []]
    ]
    for (const [search, found] of cases) {
      t.same(names(await ann.get(`${path}?search=${encodeURIComponent(search)}`)), found, search)
    }
  })

  t.test('but not with an invalid query', async (t) => {
    const ann = await service.newUser()
    const cases: [string, string][] = [
      ['page=0', '/query/page'],
      ['page=-1', '/query/page'],
      ['page=1.5', '/query/page'],
      ['page=x', '/query/page'],
      ['page=1&page=2', '/query/page'],
      ['page=1000000001', '/query/page'],
      ['page=1e400', '/query/page'],
      ['page=9'.padEnd(400, '9'), '/query/page'],
      ['pageSize=0', '/query/pageSize'],
      ['pageSize=101', '/query/pageSize'],
      ['credentialTypeId=x', '/query/credentialTypeId'],
      [`search=${'a'.repeat(201)}`, '/query/search'],
      ['search=%00', '/query/search'],
      ['sort=description', '/query/sort'],
      ['colour=red', '/query'],
      ['__proto__=x', '/query']
    ]
    for (const [query, where] of cases) {
      const answer = await ann.get(`${path}?${query}`)
      t.equal(answer.status, 400, query)
      t.match(answer.json, { code: 'validation-failed', errors: [{ path: where }] }, query)
    }
  })

  t.test('individually, only by their owner and members of their projects', async (t) => {
    const [ann, bob, eve] = [await service.newUser(), await service.newUser(), await service.newUser()]
    const type = await newType(ann)
    const [shared, hidden] = [await newProject(ann), await newProject(ann)]
    await addMember(ann, shared, bob, 'viewer')
    const { id } = await newCredential(ann, type, { projectIds: [shared, hidden] })

    const seen = await bob.get(`${path}/${id}`)
    t.equal(seen.status, 200)
    t.same(
      seen.json.projects.map((one: { id: string }) => one.id),
      [shared],
      'projects of others are not shown'
    )
    t.notOk(seen.text.includes('hunter2'))

    const nowhere = await eve.get(`${path}/${UNKNOWN}`)
    for (const stranger of [eve, service.admin]) {
      const answer = await stranger.get(`${path}/${id}`)
      t.equal(answer.status, 404)
      const { requestId: _, ...rest } = answer.json
      const { requestId: __, ...none } = nowhere.json
      t.same(rest, none, 'a hidden credential looks like an unknown one')
    }
    for (const malformed of [
      'x',
      UNKNOWN.slice(1),
      `${UNKNOWN}0`,
      `urn:uuid:${UNKNOWN}`,
      'a'.repeat(5000),
      '%00',
      "' or 1=1"
    ]) {
      t.equal((await ann.get(`${path}/${encodeURIComponent(malformed)}`)).status, 404, malformed.slice(0, 50))
    }

    const writes: [string, string, object | undefined][] = [
      ['PUT', `${path}/${id}`, { credentialName: 'mine now' }],
      ['DELETE', `${path}/${id}`, undefined],
      ['POST', `${path}/${id}/assign-projects`, { projectIds: [] }],
      ['POST', `${path}/${id}/reveal`, {}]
    ]
    for (const [method, url, body] of writes) {
      t.equal((await bob.request(method, url, body)).status, 403, `${method} ${url} by a member`)
      t.equal((await eve.request(method, url, body)).status, 404, `${method} ${url} by a stranger`)
      t.equal(
        (await service.admin.request(method, url, body)).status,
        404,
        `${method} ${url} by an administrator`
      )
      t.equal(
        (await service.anonymous().request(method, url, body)).status,
        401,
        `${method} ${url} unauthenticated`
      )
    }
    const after = await ann.get(`${path}/${id}`)
    t.match(after.json, { revision: 1, projects: [{}, {}] }, 'nothing has changed')

    await ann.delete(`/api/v1/projects/${shared}/members/${bob.person.id}`)
    t.equal((await bob.get(`${path}/${id}`)).status, 404, 'hidden after the membership ended')
  })

  t.test('by project, by its members', async (t) => {
    const [ann, bob, eve] = [await service.newUser(), await service.newUser(), await service.newUser()]
    const type = await newType(ann)
    const project = await newProject(ann)
    await addMember(ann, project, bob, 'editor')
    const first = await newCredential(ann, type, { projectIds: [project] })
    const second = await newCredential(bob, type, { projectIds: [project] })
    await newCredential(ann, type)

    for (const member of [ann, bob]) {
      const answer = await member.get(`${path}/by-project/${project}`)
      t.equal(answer.status, 200)
      t.same(
        answer.json.map((one: { id: string }) => one.id),
        [second.id, first.id]
      )
      t.notOk(answer.text.includes('keyValue'))
    }
    t.equal((await eve.get(`${path}/by-project/${project}`)).status, 403)
    t.equal((await service.admin.get(`${path}/by-project/${project}`)).status, 403)
    t.equal((await ann.get(`${path}/by-project/${UNKNOWN}`)).status, 404)
    t.equal((await ann.get(`${path}/by-project/x`)).status, 404)

    t.equal(
      (await bob.delete(`${path}/by-project/${project}/${first.id}`)).status,
      403,
      'an editor cannot remove credentials'
    )
    t.equal((await ann.delete(`${path}/by-project/${project}/x`)).status, 404)
    t.same(
      (await ann.delete(`${path}/by-project/${project}/${second.id}`)).json,
      { success: true },
      'an owner of the project can'
    )
    t.equal((await ann.delete(`${path}/by-project/${project}/${second.id}`)).status, 404)
    t.equal((await ann.get(`${path}/by-project/${project}`)).json.length, 1)
    t.equal((await bob.get(`${path}/${second.id}`)).status, 200, 'its owner still has it')
  })

  t.test('and are revealed only to their owner', async (t) => {
    const ann = await service.newUser()
    const type = await newType(ann)
    const { id } = await newCredential(ann, type)
    const url = `${path}/${id}/reveal`
    const all = await ann.post(url, {})
    t.equal(all.status, 200)
    t.equal(all.headers.get('cache-control'), 'no-store')
    t.same(all.json, {
      id,
      revision: 1,
      environment: 'main',
      keys: [
        { fieldId: type.field.host, fieldName: 'host', keyValue: 'mail.example.org' },
        { fieldId: type.field.password, fieldName: 'password', keyValue: 'hunter2 hunter2' }
      ]
    })
    t.same((await ann.post(url)).json, all.json, 'also without a body')
    const one = await ann.post(url, { fieldIds: [type.field.password], environment: 'main' })
    t.same(one.json.keys.length, 1)
    t.same((await ann.post(url, { fieldIds: [type.field.note] })).json.keys, [], 'a field without a value')
    t.equal((await ann.post(url, { fieldIds: [UNKNOWN] })).json.errors[0].code, 'unknown-field')
    t.equal((await ann.post(url, { environment: 'staging' })).json.code, 'environment-not-configured')
    t.equal((await ann.post(url, { environment: 'No Slug' })).status, 400)
    t.same(await reveal(ann, id), { host: 'mail.example.org', password: 'hunter2 hunter2' })
  })
})
