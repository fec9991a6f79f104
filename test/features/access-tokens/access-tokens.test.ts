import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { newAccessToken, parseAccessToken } from '../../../src/crypto/access-tokens.ts'
import { startTestApp } from '../../helpers/app.ts'
import { eventually } from '../../helpers/eventually.ts'
import { newCredential, newType } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'

const path = '/api/v1/access-tokens'

t.test('tokens are recognized by their format', async (t) => {
  for (const kind of ['personal', 'project'] as const) {
    const token = newAccessToken(kind)
    t.match(token, kind === 'personal' ? /^lk_pat_[\w-]{43}\w{6}$/ : /^lk_prj_[\w-]{43}\w{6}$/)
    t.same(parseAccessToken(token), { cell: undefined })
    for (let i = 0; i < token.length; i++) {
      const bent = token.slice(0, i) + (token[i] === 'a' ? 'b' : 'a') + token.slice(i + 1)
      t.notOk(parseAccessToken(bent), `character ${i} changed`)
      t.notOk(parseAccessToken(token.slice(0, i)), `cut at ${i}`)
    }
  }
})

t.test('personal access tokens', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser({ name: 'Ann' })

  t.test('are shown once and stored as a hash', async (t) => {
    const made = await ann.post(path, {
      name: 'Job',
      scopes: ['credentials:read'],
      expiresAt: '2090-01-01T00:00:00Z'
    })
    t.equal(made.status, 201)
    const { token, ...metadata } = made.json
    t.equal(made.headers.get('location'), `${path}/${metadata.id}`)
    t.match(metadata, {
      name: 'Job',
      scopes: ['credentials:read'],
      expiresAt: '2090-01-01T00:00:00.000Z',
      lastUsedAt: null
    })
    const list = await ann.get(path)
    t.same(list.json.data, [metadata])
    const row = await service.db
      .selectFrom('access_tokens')
      .where('id', '=', metadata.id)
      .select('token_hash')
      .executeTakeFirstOrThrow()
    t.same(row.token_hash, createHash('sha256').update(token).digest())
    t.notMatch(service.log.join(''), token)
  })

  t.test('are refused if they are invalid', async (t) => {
    const cases: [string, object, string][] = [
      ['no scope', { name: 'x', scopes: [] }, '/body/scopes'],
      ['an unknown scope', { name: 'x', scopes: ['everything'] }, '/body/scopes/0'],
      ['a scope of project tokens', { name: 'x', scopes: ['credentials:resolve'] }, '/body/scopes/0'],
      ['a scope twice', { name: 'x', scopes: ['credentials:read', 'credentials:read'] }, '/body/scopes'],
      ['no name', { scopes: ['credentials:read'] }, '/body/name'],
      ['an invalid time', { name: 'x', scopes: ['credentials:read'], expiresAt: 'soon' }, '/body/expiresAt']
    ]
    for (const [name, body, where] of cases) {
      const answer = await ann.post(path, body)
      t.equal(answer.status, 400, name)
      t.equal(answer.json.errors[0].path, where, name)
    }
  })

  t.test('act as their creator, within their scopes', async (t) => {
    const type = await newType(ann)
    const { id } = await newCredential(ann, type)
    const credentials = '/api/v1/app-credentials'
    const table: [scope: string, method: string, url: string, body?: object][] = [
      ['credentials:read', 'GET', credentials],
      ['credentials:read', 'GET', `${credentials}/${id}`],
      ['credentials:read', 'GET', '/api/v1/credential-types'],
      ['credentials:write', 'PUT', `${credentials}/${id}`, { description: 'x' }],
      ['credentials:reveal', 'POST', `${credentials}/${id}/reveal`, {}],
      ['none', 'GET', '/api/v1/session'],
      ['none', 'GET', '/api/v1/users'],
      ['none', 'GET', path],
      ['none', 'POST', path, { name: 'x', scopes: ['credentials:read'] }],
      ['none', 'POST', '/api/v1/projects', { name: 'x' }]
    ]
    for (const scope of ['credentials:read', 'credentials:write', 'credentials:reveal']) {
      const caller = await newToken(ann, [scope])
      for (const [needed, method, url, body] of table) {
        const answer = await caller.request(method, url, body)
        t.equal(answer.status, scope === needed ? 200 : 403, `${scope}: ${method} ${url}`)
        if (scope === needed) continue
        const detail =
          needed === 'none'
            ? 'A token cannot do this: sign in as a user.'
            : `This needs a token with the scope ${needed}.`
        t.match(answer.json, { code: 'insufficient-scope', detail })
      }
    }
    const admin = await newToken(service.admin, [
      'credentials:read',
      'credentials:write',
      'credentials:reveal'
    ])
    t.equal((await admin.get('/api/v1/users')).status, 403, 'an administrator’s token cannot administer')
    const bob = await newToken(await service.newUser(), ['credentials:reveal'])
    t.equal(
      (await bob.post(`${credentials}/${id}/reveal`, {})).status,
      404,
      'credentials of others are hidden'
    )
  })

  t.test('are not checked for cross-site requests and do not replace a cookie', async (t) => {
    const caller = await newToken(ann, ['credentials:read'])
    caller.cookie = ann.cookie
    t.equal(
      (await caller.get('/api/v1/app-credentials', { headers: { origin: 'https://elsewhere.example' } }))
        .status,
      200
    )
    for (const authorization of [
      'Bearer',
      'Bearer x',
      `Basic ${caller.bearer}`,
      `Bearer ${caller.bearer}x`,
      `Bearer ${newAccessToken('personal')}`,
      `Bearer ${newAccessToken('project')}`
    ]) {
      const answer = await ann.get('/api/v1/app-credentials', { headers: { authorization } })
      t.equal(answer.status, 401, authorization.slice(0, 12))
    }
    const cookie = `latchkey_session=${caller.bearer}`
    t.equal(
      (await service.anonymous().get('/api/v1/app-credentials', { headers: { cookie } })).status,
      401,
      'a token is not accepted as a cookie'
    )
  })

  t.test('stop working when they are revoked or expire, or their creator is disabled', async (t) => {
    const bob = await service.newUser()
    const url = '/api/v1/app-credentials'
    const [revoked, expiring, last] = [
      await newToken(bob, ['credentials:read']),
      await newToken(bob, ['credentials:read']),
      await newToken(bob, ['credentials:read'])
    ]
    const ids = (await bob.get(path)).json.data.map((one: { id: string }) => one.id)
    for (const caller of [revoked, expiring, last]) t.equal((await caller.get(url)).status, 200)
    t.equal((await ann.delete(`${path}/${ids[2]}`)).status, 404, 'others cannot revoke it')
    t.same((await bob.delete(`${path}/${ids[2]}`)).json, { success: true })
    t.equal((await bob.delete(`${path}/${ids[2]}`)).status, 404)
    t.equal((await revoked.get(url)).status, 401)
    await service.db
      .updateTable('access_tokens')
      .set({ expires_at: sql<Date>`now() - interval '1 second'` })
      .where('id', '=', ids[1])
      .execute()
    t.equal((await expiring.get(url)).status, 401)
    await service.admin.put(`/api/v1/users/${bob.person.id}`, { disabled: true })
    t.equal((await last.get(url)).status, 401)
    await service.admin.put(`/api/v1/users/${bob.person.id}`, { disabled: false })
    t.equal((await last.get(url)).status, 401, 'enabling the user does not restore tokens')
  })

  t.test('record their last use, at most once a minute', async (t) => {
    const bob = await service.newUser()
    const caller = await newToken(bob, ['credentials:read'])
    const used = async () => (await bob.get(path)).json.data[0].lastUsedAt
    await caller.get('/api/v1/app-credentials')
    await eventually(async () => (await used()) !== null, 'the use is written')
    const first = await used()
    await caller.get('/api/v1/app-credentials')
    t.equal(await used(), first)
    await service.db
      .updateTable('access_tokens')
      .set({ last_used_at: sql<Date>`now() - interval '61 seconds'` })
      .where('user_id', '=', bob.person.id)
      .execute()
    await caller.get('/api/v1/app-credentials')
    await eventually(async () => (await used()) > first, 'the next use is written')
  })
})
