import { randomUUID } from 'node:crypto'
import { hash as argon2 } from '@node-rs/argon2'
import { sql } from 'kysely'
import t from 'tap'
import { hashPassword } from '../../../src/crypto/passwords.ts'
import { hashToken } from '../../../src/crypto/tokens.ts'
import { newRootKey } from '../../../src/root-keys/local.ts'
import { startTestApp } from '../../helpers/app.ts'
import type { Answer, Client } from '../../helpers/client.ts'
import { eventually } from '../../helpers/eventually.ts'
import { startReplica } from '../../helpers/replica.ts'
import { serviceStarts } from '../../helpers/service-starts.ts'
import { newToken } from '../../helpers/tokens.ts'

const service = await startTestApp(t)

const tokenOf = (client: Client) => client.cookie!.split('=')[1]!
const sessionsOf = (client: Client) =>
  service.db
    .selectFrom('sessions')
    .where('user_id', '=', client.person.id)
    .select(['id', 'token_hash', 'last_seen_at', 'expires_at'])
    .execute()
/** Moves the times of the client's sessions into the past. */
const age = (client: Client, minutes: number) =>
  sql`update sessions set last_seen_at = last_seen_at - make_interval(mins => ${minutes}),
    expires_at = expires_at - make_interval(mins => ${minutes}) where user_id = ${client.person.id}`.execute(
    service.db
  )
const idleFor = (client: Client, seconds: number) =>
  sql`update sessions set last_seen_at = now() - make_interval(secs => ${seconds})
    where user_id = ${client.person.id}`.execute(service.db)
/** Returns the response without request ids and its date. */
function comparable({ status, headers, text, json }: Answer) {
  const names = [...headers].filter(([name]) => !['date', 'x-request-id'].includes(name))
  return { status, headers: Object.fromEntries(names), text: text.replaceAll(json.requestId, '') }
}

t.test('signing in sets a session cookie, and signing out ends the session', async (t) => {
  const ann = await service.newUser({ name: 'Ann' })
  const who = await ann.get('/api/v1/session')
  t.equal(who.status, 200)
  t.match(who.json, { user: { id: ann.person.id, email: ann.person.email, name: 'Ann', role: 'user' } })
  const { cookie } = ann
  const out = await ann.delete('/api/v1/session')
  t.same(out.json, { success: true })
  t.match(out.headers.getSetCookie(), [/^latchkey_session=;.*Path=\/;.*(Expires=Thu, 01 Jan 1970|Max-Age=0)/])
  ann.cookie = cookie
  t.equal((await ann.get('/api/v1/session')).status, 401)
  t.same(await sessionsOf(ann), [])
})

t.test('the cookie is SameSite, HttpOnly and without expiry', async (t) => {
  const ann = await service.newUser()
  const answer = await service.anonymous().signIn(ann.person)
  const cookies = answer.headers.getSetCookie()
  t.equal(cookies.length, 1)
  const [pair, ...attributes] = cookies[0]!.split('; ')
  t.match(pair, /^latchkey_session=[A-Za-z0-9_-]{43}$/, '256 bits')
  t.same(attributes.sort(), ['HttpOnly', 'Path=/', 'SameSite=Lax'])
  t.match(answer.json, { user: { email: ann.person.email }, session: { id: String } })
  t.notMatch(answer.text, pair!.split('=')[1]!, 'the token is only in the cookie')
})

t.test('over https the cookie is Secure and has the __Host- prefix', async (t) => {
  const env = { PUBLIC_URL: 'https://keys.example.org' }
  const secure = (await startReplica(t, service, { env })).client(await service.newUser())
  const answer = await secure.signIn(secure.person)
  const [pair, ...attributes] = answer.headers.getSetCookie()[0]!.split('; ')
  t.match(pair, /^__Host-latchkey_session=[A-Za-z0-9_-]{43}$/)
  t.same(attributes.sort(), ['HttpOnly', 'Path=/', 'SameSite=Lax', 'Secure'])
  t.equal((await secure.get('/api/v1/session')).status, 200)
  const plain = secure.other()
  plain.cookie = secure.cookie!.replace('__Host-', '')
  t.equal((await plain.get('/api/v1/session')).status, 401, 'the name without the prefix is not accepted')
  const out = await secure.delete('/api/v1/session')
  t.match(out.headers.getSetCookie(), [/^__Host-latchkey_session=;.*Secure/], 'the cookie is cleared')
})

t.test('each sign-in creates a new session and ignores a given one', async (t) => {
  const ann = await service.newUser()
  const first = ann.cookie
  await ann.signIn(ann.person)
  t.not(ann.cookie, first)
  const chosen = service.anonymous()
  chosen.cookie = `latchkey_session=${'A'.repeat(43)}`
  await chosen.signIn(ann.person)
  t.not(chosen.cookie, `latchkey_session=${'A'.repeat(43)}`)
  const ids = (await sessionsOf(ann)).map((session) => session.id)
  t.equal(new Set(ids).size, 3)
})

t.test('the database stores only the hash of the token', async (t) => {
  const ann = await service.newUser()
  const token = tokenOf(ann)
  const [row] = await sessionsOf(ann)
  t.same(row!.token_hash, hashToken(token))
  const { rows } = await sql<{ text: string }>`select s::text as text from sessions s
    union all select u::text from users u union all select f::text from login_failures f`.execute(service.db)
  const all = rows.map((one) => one.text).join('\n')
  t.match(all, ann.person.email)
  for (const trace of [
    token,
    Buffer.from(token).toString('hex'),
    Buffer.from(token, 'base64url').toString('hex')
  ]) {
    t.notMatch(all, trace)
  }
  t.notMatch(all, ann.person.password)
  t.notMatch(service.log.join('\n'), token, 'the log does not contain the token')
})

t.test('wrong password, unknown e-mail and disabled user get the same answer', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  t.equal((await service.admin.put(`/api/v1/users/${bob.person.id}`, { disabled: true })).status, 200)
  const attempts = {
    'wrong password': { ...ann.person, password: 'not the right one' },
    'unknown e-mail': { ...ann.person, email: `nobody-${randomUUID()}@example.org` },
    'disabled user': bob.person,
    'disabled user, wrong password': { ...bob.person, password: 'not the right one' }
  }
  const answers = []
  for (const [name, person] of Object.entries(attempts)) {
    const answer = await service.anonymous().signIn(person)
    t.match(answer.json, { status: 401, code: 'invalid-credentials' }, name)
    t.same(answer.headers.getSetCookie(), [], name)
    answers.push(comparable(answer))
  }
  for (const answer of answers) t.same(answer, answers[0])
})

t.test('e-mail addresses ignore case; passwords do not', async (t) => {
  const ann = await service.newUser()
  const { email, password } = ann.person
  t.equal((await service.anonymous().signIn({ email: email.toUpperCase(), password })).status, 200)
  t.equal((await service.anonymous().signIn({ email, password: password.toUpperCase() })).status, 401)
  t.equal((await service.anonymous().signIn({ email, password: `${password} ` })).status, 401)
})

t.test('a session that ends on one replica ends on all', async (t) => {
  const replica = await startReplica(t, service)
  const ann = await service.newUser()
  const there = replica.client(ann)
  t.equal((await there.get('/api/v1/session')).status, 200)
  const { cookie } = ann
  await ann.delete('/api/v1/session')
  ann.cookie = cookie
  t.equal((await there.get('/api/v1/session')).status, 401)
  t.equal((await ann.get('/api/v1/session')).status, 401)
})

t.test('disabling or deleting a user ends their sessions', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  await service.admin.put(`/api/v1/users/${ann.person.id}`, { disabled: true })
  t.equal((await ann.get('/api/v1/session')).status, 401)
  t.equal((await service.admin.delete(`/api/v1/users/${bob.person.id}`)).status, 200)
  t.equal((await bob.get('/api/v1/session')).status, 401)
  const eve = await service.newUser()
  // Disabled directly in the database, so that the session still exists.
  await service.db
    .updateTable('users')
    .set({ disabled_at: new Date() })
    .where('id', '=', eve.person.id)
    .execute()
  t.equal((await eve.get('/api/v1/session')).status, 401)
  await service.db.updateTable('users').set({ disabled_at: null }).where('id', '=', eve.person.id).execute()
  t.equal((await eve.get('/api/v1/session')).status, 401, 'the session is not restored')
})

t.test('an idle session ends and stays ended', async (t) => {
  const ann = await service.newUser()
  await idleFor(ann, 30 * 60 - 20)
  t.equal((await ann.get('/api/v1/session')).status, 200, 'just in time')
  await idleFor(ann, 30 * 60 + 20)
  const late = await ann.get('/api/v1/session')
  t.match(late.json, { status: 401, code: 'unauthenticated' })
  t.same(await sessionsOf(ann), [], 'the session is deleted, so a clock change cannot restore it')
})

t.test('use extends a session up to its maximum lifetime', async (t) => {
  const ann = await service.newUser()
  const [session] = await sessionsOf(ann)
  const hours = (session!.expires_at.getTime() - Date.now()) / 3_600_000
  t.ok(hours > 11.99 && hours <= 12)
  for (let minutes = 0; minutes < 12 * 60 - 25; minutes += 25) {
    await age(ann, 25)
    t.equal((await ann.get('/api/v1/session')).status, 200)
    // The last use is written after the response.
    await eventually(async () => {
      const [current] = await sessionsOf(ann)
      return Date.now() - current!.last_seen_at.getTime() < 60_000
    }, 'the use is written')
  }
  await age(ann, 25)
  t.equal((await ann.get('/api/v1/session')).status, 401)
  t.same(await sessionsOf(ann), [])
})

t.test('the idle time and maximum lifetime come from the configuration', async (t) => {
  const env = { LATCHKEY_SESSION_IDLE_MINUTES: '1', LATCHKEY_SESSION_MAX_HOURS: '2' }
  const replica = await startReplica(t, service, { env })
  const ann = await service.newUser()
  const there = replica.client()
  const { json } = await there.signIn(ann.person)
  const hours = (Date.parse(json.session.expiresAt) - Date.parse(json.session.createdAt)) / 3_600_000
  t.equal(hours, 2)
  await idleFor(ann, 50)
  t.equal((await there.get('/api/v1/session')).status, 200)
  await eventually(async () => {
    const seen = (await sessionsOf(ann)).map((session) => Date.now() - session.last_seen_at.getTime())
    return seen.some((ms) => ms < 10_000)
  }, 'use extends even the shortest idle time')
  await idleFor(ann, 61)
  t.equal((await there.get('/api/v1/session')).status, 401)
})

t.test('the last use of a session is written at most once a minute', async (t) => {
  const ann = await service.newUser()
  await sql`create table updates (level text)`.execute(service.db)
  await sql`create function count_update() returns trigger language plpgsql as
    $$ begin insert into updates values (tg_level); return new; end $$`.execute(service.db)
  for (const level of ['row', 'statement']) {
    await sql
      .raw(`create trigger each_${level} before update on sessions for each ${level}
      execute function count_update()`)
      .execute(service.db)
  }
  const updatesBy = async (work: () => Promise<unknown>) => {
    await sql`truncate updates`.execute(service.db)
    await work()
    const { rows } = await sql<{ level: string }>`select level from updates`.execute(service.db)
    return rows.map((row) => row.level.toLowerCase())
  }
  const isSeen = async () =>
    (await sessionsOf(ann)).every((one) => Date.now() - one.last_seen_at.getTime() < 9_000)
  const asks = (times: number) => Promise.all(Array.from({ length: times }, () => ann.get('/api/v1/session')))
  await idleFor(ann, 55)
  t.same(await updatesBy(() => asks(5)), [], 'within a minute, no write is attempted')
  await idleFor(ann, 65)
  const updates = await updatesBy(async () => {
    await asks(20)
    await eventually(isSeen, 'the use is written')
  })
  t.equal(
    updates.filter((level) => level === 'row').length,
    1,
    'after a minute, twenty concurrent requests write once'
  )
  t.same(await updatesBy(() => asks(5)), [], 'no more writes after that')
  const { json } = await ann.get('/api/v1/session')
  t.ok(Date.now() - Date.parse(json.session.lastSeenAt) < 10_000)
})

t.test('users list their sessions on all devices and can end each', async (t) => {
  const ann = await service.newUser()
  const [laptop, phone] = [service.anonymous(), service.anonymous()]
  await laptop.signIn(ann.person)
  await phone.post(
    '/api/v1/session',
    { email: ann.person.email, password: ann.person.password },
    {
      headers: { 'user-agent': 'A phone' }
    }
  )
  const { data: sessions } = (await laptop.get('/api/v1/sessions')).json
  t.equal(sessions.length, 3)
  t.same(
    sessions.map((one: { createdAt: string }) => one.createdAt),
    sessions
      .map((one: { createdAt: string }) => one.createdAt)
      .sort()
      .reverse(),
    'newest first'
  )
  t.match(sessions[0], { userAgent: 'A phone', ip: '127.0.0.1', current: false })
  t.match(sessions[1], { current: true })
  const ended = await laptop.delete(`/api/v1/sessions/${sessions[0].id}`)
  t.same(ended.json, { success: true })
  t.equal((await phone.get('/api/v1/session')).status, 401)
  t.equal((await laptop.delete(`/api/v1/sessions/${sessions[0].id}`)).status, 404, 'once')
  t.equal((await ann.get('/api/v1/sessions')).json.total, 2)
  await idleFor(ann, 31 * 60)
  await laptop.signIn(ann.person)
  t.equal((await laptop.get('/api/v1/sessions')).json.total, 1, 'only active sessions')
})

t.test("another user's session is not found", async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const { id } = (await ann.get('/api/v1/session')).json.session
  const others = await bob.delete(`/api/v1/sessions/${id}`)
  t.equal(others.status, 404)
  for (const unknown of [randomUUID(), '1', 'null', "1' or '1'='1", '%00', '..%2f..']) {
    const answer = await bob.delete(`/api/v1/sessions/${encodeURIComponent(unknown)}`)
    t.same(comparable(answer), comparable(others), unknown)
  }
  t.equal((await ann.get('/api/v1/session')).status, 200)
})

t.test('a new password ends the other sessions and replaces the old one', async (t) => {
  const ann = await service.newUser()
  const other = service.anonymous()
  await other.signIn(ann.person)
  const copy = service.anonymous()
  copy.cookie = ann.cookie!
  const token = await newToken(ann, ['credentials:read'])
  const newPassword = 'staple of another kind'
  const body = { currentPassword: ann.person.password, newPassword }
  const changed = await ann.put('/api/v1/users/me/password', body)
  t.same([changed.status, changed.json], [200, { success: true }])
  t.equal((await ann.get('/api/v1/session')).status, 200)
  t.equal((await other.get('/api/v1/session')).status, 401)
  t.equal((await service.anonymous().signIn(ann.person)).status, 401)
  t.equal((await service.anonymous().signIn({ ...ann.person, password: newPassword })).status, 200)
  // A limitation that docs/why.md documents.
  t.equal((await copy.get('/api/v1/session')).status, 200, 'a copy of the session that made the change')
  t.equal((await token.get('/api/v1/app-credentials')).status, 200, 'tokens')
})

t.test('a password is the same in every Unicode form', async (t) => {
  const [composed, decomposed] = ['p\u00e4ssw\u00f6rd horse', 'pa\u0308sswo\u0308rd\u00a0horse']
  const email = `${randomUUID()}@example.org`
  const { admin } = service
  t.equal((await admin.post('/api/v1/users', { email, name: 'Jörg', password: decomposed })).status, 201)
  const ann = service.anonymous()
  for (const password of [composed, decomposed]) t.equal((await ann.signIn({ email, password })).status, 200)
  const body = { currentPassword: composed, newPassword: `${decomposed} 2` }
  t.equal((await ann.put('/api/v1/users/me/password', body)).status, 200)
  t.equal((await ann.signIn({ email, password: `${composed} 2` })).status, 200)
  t.equal((await admin.put(`/api/v1/users/${ann.person.id}`, { password: decomposed })).status, 200)
  t.equal((await ann.signIn({ email, password: composed })).status, 200)
})

t.test('the password of the first administrator is the same in every Unicode form', async (t) => {
  const starts = await serviceStarts(t)
  const { admin } = await starts.serve({
    LATCHKEY_ROOT_KEYS: newRootKey('test'),
    LATCHKEY_ADMIN_PASSWORD: 'pa\u0308sswo\u0308rd\u00a0horse'
  })
  const password = 'p\u00e4ssw\u00f6rd horse'
  t.equal((await admin.signIn({ email: 'root@example.org', password })).status, 200)
})

t.test('an old hash of another Unicode form is accepted and replaced', async (t) => {
  const ann = await service.newUser()
  const { email } = ann.person
  const [composed, decomposed] = ['p\u00e4ssw\u00f6rd horse', 'pa\u0308sswo\u0308rd horse']
  const password_hash = await argon2(decomposed, { algorithm: 2, memoryCost: 19_456, timeCost: 2 })
  await service.db.updateTable('users').set({ password_hash }).where('id', '=', ann.person.id).execute()
  const signIn = async (password: string) => (await service.anonymous().signIn({ email, password })).status
  t.equal(await signIn(composed), 401)
  t.same(await Promise.all([1, 2, 3].map(() => signIn(decomposed))), [200, 200, 200], 'concurrently')
  t.equal(await signIn(composed), 200, 'the new hash fits every form')
  t.equal(await signIn(decomposed), 200)
})

t.test('changing the password needs the current one and a long enough new one', async (t) => {
  const ann = await service.newUser()
  const other = service.anonymous()
  await other.signIn(ann.person)
  const currentPassword = ann.person.password
  const cases: [string, object, number, string][] = [
    ['wrong current one', { currentPassword: 'x', newPassword: 'long enough at all' }, 403, 'wrong-password'],
    ['too short', { currentPassword, newPassword: 'eleven char' }, 400, 'validation-failed'],
    ['too long', { currentPassword, newPassword: 'x'.repeat(257) }, 400, 'validation-failed'],
    ['without the current one', { newPassword: 'long enough at all' }, 400, 'validation-failed'],
    [
      'for somebody else',
      { currentPassword, newPassword: 'x'.repeat(20), userId: randomUUID() },
      400,
      'validation-failed'
    ]
  ]
  for (const [name, body, status, code] of cases) {
    const answer = await ann.put('/api/v1/users/me/password', body)
    t.match(answer.json, { status, code }, name)
  }
  t.equal((await other.get('/api/v1/session')).status, 200, 'nothing has changed')
  t.equal((await service.anonymous().signIn(ann.person)).status, 200)
})

t.test('a sign-in with the old password during a change leaves no session', async (t) => {
  const ann = await service.newUser()
  const passwordHash = await hashPassword('staple of another kind')
  const signingIn = await service.db.transaction().execute(async (trx) => {
    await trx
      .updateTable('users')
      .set({ password_hash: passwordHash })
      .where('id', '=', ann.person.id)
      .execute()
    const answer = service.anonymous().signIn(ann.person)
    const waits = eventually(async () => {
      const { rows } = await sql`select 1 from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`.execute(service.db)
      return rows.length > 0
    }, 'the sign-in waits for the change')
    await Promise.race([answer, waits])
    await trx.deleteFrom('sessions').where('user_id', '=', ann.person.id).execute()
    return { answer }
  })
  t.equal((await signingIn.answer).status, 401)
  t.same(await sessionsOf(ann), [])
})

t.test('a request with Authorization is not authenticated by its cookie', async (t) => {
  const ann = await service.newUser()
  const values = [
    'Bearer ',
    `Bearer ${tokenOf(ann)}`,
    'Bearer lk_pat_0123456789',
    'Basic YW5uOnB3',
    'Digest username="ann"',
    'anything',
    `latchkey_session ${tokenOf(ann)}`
  ]
  for (const authorization of values) {
    const answer = await ann.get('/api/v1/session', { headers: { authorization } })
    t.match(answer.json, { status: 401, code: 'unauthenticated' }, authorization)
  }
  t.equal((await ann.get('/api/v1/session')).status, 200)
})

t.test('an invalid cookie is not authenticated', async (t) => {
  const ann = await service.newUser()
  const token = tokenOf(ann)
  const cookies = [
    '',
    'latchkey_session',
    'latchkey_session=',
    'latchkey_session=garbage',
    `latchkey_session=${'A'.repeat(43)}`,
    `latchkey_session=${token}A`,
    `latchkey_session=${token.slice(0, -1)}`,
    `latchkey_session=%00${token}`,
    `latchkey_session="${token}" x`,
    `other=${token}`,
    `__Host-latchkey_session=${token}`,
    `latchkey_session=${hashToken(token).toString('base64url')}`,
    `latchkey_session=${'x'.repeat(4_000)}`,
    `latchkey_session=${encodeURIComponent("' or 1=1 --")}`
  ]
  const other = ann.other()
  for (const cookie of cookies) {
    const answer = await other.get('/api/v1/session', { headers: { cookie } })
    t.equal(answer.status, 401, cookie.slice(0, 60))
  }
})

t.test('headers that name a user, an address or a path are ignored', async (t) => {
  const ann = await service.newUser()
  const headers = {
    'x-user-id': service.admin.person.id,
    'x-forwarded-user': service.admin.person.email,
    'x-original-url': '/api/v1/users',
    'x-rewrite-url': '/api/v1/users',
    'x-http-method-override': 'DELETE',
    'x-forwarded-for': '203.0.113.7'
  }
  t.equal((await service.anonymous().get('/api/v1/session', { headers })).status, 401)
  t.equal((await ann.get('/api/v1/session', { headers })).json.user.id, ann.person.id)
  const other = service.anonymous()
  const { email, password } = ann.person
  await other.post('/api/v1/session', { email, password }, { headers })
  const json = (await other.get('/api/v1/sessions')).json.data
  t.equal(json.find((one: { current: boolean }) => one.current).ip, '127.0.0.1')
})

t.test('an unknown account takes as much work as a known one', async (t) => {
  const ann = await service.newUser()
  // CPU time of service and caller in µs, because the elapsed time depends on the load of the machine.
  const costOf = async (email: string) => {
    const from = process.cpuUsage()
    t.equal((await service.anonymous().signIn({ email, password: 'not the right one' })).status, 401)
    const { user, system } = process.cpuUsage(from)
    return user + system
  }
  const [known, unknown]: [number[], number[]] = [[], []]
  for (let i = 0; i < 8; i++) {
    known.push(await costOf(ann.person.email))
    unknown.push(await costOf(`nobody-${randomUUID()}@example.org`))
  }
  // The minimum is the run with the least other work. Without hashing, the ratio would be a fifth.
  const ratio = Math.min(...unknown) / Math.min(...known)
  t.ok(ratio > 0.6 && ratio < 1.6, `${ratio} times the work`)
})

t.test('a password has 12 to 256 characters in NFC, however it is typed', async (t) => {
  const user = await service.newUser()
  const [short, long] = ['e\u0301'.repeat(6), '\u1ebf'.repeat(256)]
  const change = (currentPassword: string, newPassword: string) =>
    user.put('/api/v1/users/me/password', { currentPassword, newPassword })
  const { password, email } = user.person
  t.match(await change(password, short), { status: 400, json: { errors: [{ code: 'too-short' }] } })
  for (const more of [`${long}x`, 'x'.repeat(1_025)])
    t.match(await change(password, more), { status: 400, json: { errors: [{ code: 'too-long' }] } })
  t.equal((await change(password, long.normalize('NFD'))).status, 200)
  for (const typed of [long, long.normalize('NFD')])
    t.equal((await user.other().signIn({ email, password: typed })).status, 200)
  t.equal((await change(long.normalize('NFD'), password)).status, 200)
})
