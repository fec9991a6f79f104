import { sql } from 'kysely'
import pg from 'pg'
import t from 'tap'
import { newAccessToken } from '../../src/crypto/access-tokens.ts'
import { startTestApp } from '../helpers/app.ts'
import { newCredential, newProject, newType } from '../helpers/fixtures.ts'
import { send, sendRawBytes } from '../helpers/raw-request.ts'
import { newToken } from '../helpers/tokens.ts'

// The caller and address in a request, and the responses if they are missing or insufficient.

const service = await startTestApp(t, { TRUST_PROXY: 'true' })
const { origin, db } = service
const [ann, bob] = [await service.newUser(), await service.newUser()]
const token = await newToken(ann, ['credentials:read'])
const projectId = await newProject(ann)
const machine = await newToken(ann, ['credentials:read'], { projectId })
const { id } = await newCredential(ann, await newType(ann))
const SURFACES = ['/api/v1/app-credentials', '/api/credentials']

t.test('401 and 403 responses say which token is needed', async (t) => {
  const bearer = (value: string) => ({ authorization: `Bearer ${value}` })
  const invalid = 'Bearer realm="latchkey", error="invalid_token"'
  const plain = 'Bearer realm="latchkey"'
  for (const path of SURFACES) {
    const cases: [string, Record<string, string>, string][] = [
      ['nothing', {}, plain],
      ['an unknown session', { cookie: `latchkey_session=${'A'.repeat(43)}` }, plain],
      ['another scheme', { authorization: 'Basic YTpi' }, plain],
      ['a malformed token', bearer('x'), invalid],
      ['an unknown token', bearer(newAccessToken('personal')), invalid]
    ]
    for (const [name, headers, expected] of cases) {
      const answer = await send(origin, path, { headers })
      t.equal(answer.status, 401, name)
      t.equal(answer.headers['www-authenticate'], expected, `${path}: ${name}`)
    }
    const body = {
      method: 'POST',
      headers: { ...bearer(token.bearer!), 'content-type': 'application/json' },
      body: '{}'
    }
    const refused = await send(origin, path, body)
    t.equal(refused.status, 403)
    const challenge = 'Bearer realm="latchkey", error="insufficient_scope", scope="credentials:write"'
    t.equal(refused.headers['www-authenticate'], challenge)
  }
  const two = await token.put(`/api/v1/app-credentials/${id}/usages/job`)
  t.equal(two.headers.get('www-authenticate')?.split(', ').at(-1), 'scope="credentials:write usages:write"')
  const none = await token.get('/api/v1/users')
  t.equal(none.status, 403)
  t.equal(none.headers.get('www-authenticate'), 'Bearer realm="latchkey", error="insufficient_scope"')
  const forbidden = await bob.get('/api/v1/users')
  t.equal(forbidden.status, 403)
  t.equal(forbidden.headers.get('www-authenticate'), null, 'no scope would suffice')
  const failed = await service.anonymous().signIn({ email: ann.person.email, password: 'wrong' })
  t.equal(failed.headers.get('www-authenticate'), plain)
  const withToken = await token.post('/api/v1/session', { email: 'nobody@example.org', password: 'wrong' })
  t.equal(withToken.status, 401)
  t.equal(withToken.headers.get('www-authenticate'), plain, 'sign-in ignores tokens')
  t.equal((await ann.get('/api/v1/projects')).headers.get('www-authenticate'), null)
})

t.test('a request may have only one caller', async (t) => {
  const bearer = `authorization: Bearer ${token.bearer}\r\n`
  const cookie = (client: typeof ann) => `cookie: ${client.cookie}\r\n`
  const unknown = `cookie: latchkey_session=${'A'.repeat(43)}\r\n`
  const spaced = (client: typeof ann) => client.cookie!.replace('=', ' =')
  const hidden = (client: typeof ann) => `cookie: latchkey_session=x; ${client.cookie}\r\n`
  const cases: [string, string, number][] = [
    ['a token', bearer, 200],
    ['a token twice', bearer + bearer, 400],
    ['two tokens', `${bearer}Authorization: Bearer ${machine.bearer}\r\n`, 400],
    ['a token and another scheme', `${bearer}AUTHORIZATION: Basic YTpi\r\n`, 400],
    ['a token and a session of its user', bearer + cookie(ann), 200],
    ['a token and a session of another', bearer + cookie(bob), 400],
    ['a project token and a session', `authorization: Bearer ${machine.bearer}\r\n${cookie(ann)}`, 400],
    ['a token and a session that has ended', bearer + unknown, 200],
    ['a token and a malformed cookie', `${bearer}cookie: latchkey_session=x\r\n`, 200],
    ['two sessions', `cookie: ${ann.cookie}; ${bob.cookie}\r\n`, 400],
    ['two sessions in two headers', cookie(ann) + cookie(bob), 400],
    ['two sessions, one with a space', `cookie: ${ann.cookie}; ${spaced(bob)}\r\n`, 400],
    ['a malformed session and another', `cookie: latchkey_session=x; ${bob.cookie}\r\n`, 400],
    ['a token, a malformed session and one of another', `${bearer}${hidden(bob)}`, 400],
    ['a token and a session of another with a space', `${bearer}cookie: ${spaced(bob)}\r\n`, 400],
    ['a session with a space', `cookie: ${spaced(ann)}\r\n`, 200],
    ['a session twice', `cookie: ${ann.cookie}; other=1; ${ann.cookie}\r\n`, 200],
    ['a session and a cookie that begins alike', `cookie: latchkey_session_old=1; ${ann.cookie}\r\n`, 200]
  ]
  for (const path of SURFACES) {
    for (const [name, headers, status] of cases) {
      const answer = await sendRawBytes(
        origin,
        `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${headers}\r\n`
      )
      t.equal(answer.status, status, `${path}: ${name}`)
      if (status === 400 && path.includes('/v1/')) t.match(answer.json, { code: 'bad-request' })
    }
  }
})

t.test('only valid addresses are accepted from proxies', async (t) => {
  const cases: [string, string][] = [
    ['203.0.113.7', '203.0.113.7'],
    ['203.0.113.7:4711', '203.0.113.7'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['[2001:DB8::1]', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['2001:0db8:0000:0000:0000:0000:0000:0001', '2001:db8::1'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['[0:0:0:0:0:ffff:203.0.113.7]:443', '203.0.113.7'],
    ['/run/proxy.sock', '127.0.0.1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    [' 203.0.113.7 , 10.0.0.1', '203.0.113.7'],
    ['', '127.0.0.1'],
    [',', '127.0.0.1'],
    ['unknown', '127.0.0.1'],
    ['_hidden', '127.0.0.1'],
    ['999.1.1.1', '127.0.0.1'],
    ['203.0.113.7:4711:1', '127.0.0.1'],
    ['[203.0.113.7', '127.0.0.1'],
    ['<script>', '127.0.0.1'],
    ["'; drop table users", '127.0.0.1'],
    ['9'.repeat(8_000), '127.0.0.1'],
    ['1,'.repeat(4_000), '127.0.0.1']
  ]
  for (const [sent, expected] of cases) {
    const answer = await send(origin, '/api/v1/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': sent },
      body: JSON.stringify({ email: bob.person.email, password: bob.person.password })
    })
    t.equal(answer.status, 200, sent.slice(0, 40))
    const event = await db
      .selectFrom('audit_log')
      .where('action', '=', 'session.started')
      .where('request_id', '=', String(answer.headers['x-request-id']))
      .select('ip')
      .executeTakeFirstOrThrow()
    t.equal(event.ip, expected, sent.slice(0, 40))
    const session = await db
      .selectFrom('sessions')
      .where('id', '=', answer.json.session.id)
      .select('ip')
      .executeTakeFirstOrThrow()
    t.equal(session.ip, expected, sent.slice(0, 40))
  }
  const wrong = {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': 'garbage' }
  }
  await send(origin, '/api/v1/session', {
    ...wrong,
    body: JSON.stringify({ email: 'x@example.org', password: 'x' })
  })
  const counted = await db.selectFrom('login_failures').select('address').distinct().execute()
  for (const { address } of counted) t.match(address, /^[0-9a-f.:]{2,39}$/)
})

t.test('the e-mail address of a failed sign-in is not sent to the database', async (t) => {
  const canary = 'hunter2hunter2'
  const sent: string[] = []
  const prototype = pg.Client.prototype as unknown as { query(query: unknown): unknown }
  const { query } = prototype
  prototype.query = function (one) {
    sent.push(JSON.stringify(one))
    return query.call(this, one)
  }
  t.teardown(() => {
    prototype.query = query
  })
  const typed = [
    `${canary}@example.org`,
    `${canary}@${ann.person.email.split('@')[1]}`,
    `${canary.toUpperCase()}@example.org`
  ]
  for (const email of typed) {
    const answer = await service.anonymous().signIn({ email, password: `the ${canary}` })
    t.equal(answer.status, 401)
  }
  t.ok(sent.length >= 6, `${sent.length} statements`)
  t.notMatch(sent.join('\n').toLowerCase(), canary)
  const upper = ann.person.email.toUpperCase()
  t.equal((await service.anonymous().signIn({ ...ann.person, email: upper })).status, 200, 'case is ignored')
  await sql`set enable_seqscan = off`.execute(db)
  const { rows } = await sql<{
    'QUERY PLAN': string
  }>`explain select id from users where email_hash(email) = 'x'`.execute(db)
  t.match(rows.map((row) => row['QUERY PLAN']).join(), /users_email_key/, 'the look-up uses an index')
})
