import type { Caller, Recorder } from '../recorder.ts'
import { ADMIN_EMAIL, NO_ID, PASSWORD } from '../world.ts'

const path = '/api/v1/session'
const text = (type: string) => ({ 'content-type': type })

/** Signing in and out, with every kind of invalid input. Returns the first administrator and its id. */
export async function session(r: Recorder): Promise<{ admin: Caller; id: string }> {
  r.area('session')
  const json = { email: ADMIN_EMAIL, password: PASSWORD }
  const admin = await r.signIn(ADMIN_EMAIL, PASSWORD)
  const { user } = (await r.quietly('GET', path, { as: admin })).json
  r.normaliser.name(user.id, 'admin')
  await r.post('sign-in', path, { json })
  await r.get('get', path, { as: admin })
  await r.record('get.head', 'HEAD', path, { as: admin })
  await r.post('sign-in.upper-case', path, { json: { ...json, email: ADMIN_EMAIL.toUpperCase() } })
  await r.post('sign-in.again', path, { json, as: admin })
  await r.post('sign-in.stale-cookie', path, { json, headers: { cookie: 'latchkey_session=nonsense' } })
  await r.post('sign-in.same-origin', path, { json, headers: { 'sec-fetch-site': 'same-origin' } })
  await r.post('sign-in.own-origin', path, { json, headers: { origin: r.origin } })
  await r.post('sign-in.no-user-agent', path, { json, headers: { 'user-agent': undefined } })

  await r.post('wrong-password', path, { json: { ...json, password: 'wrong' } })
  await r.post('unknown-email', path, { json: { ...json, email: 'nobody@example.org' } })
  await r.post('no-email', path, { json: { password: PASSWORD } })
  await r.post('no-password', path, { json: { email: ADMIN_EMAIL } })
  await r.post('bad-email', path, { json: { ...json, email: 'nonsense' } })
  await r.post('email-of-wrong-type', path, { json: { ...json, email: 1 } })
  await r.post('long-email', path, { json: { ...json, email: `${'a'.repeat(320)}@example.org` } })
  await r.post('empty-password', path, { json: { ...json, password: '' } })
  await r.post('long-password', path, { json: { ...json, password: 'a'.repeat(257) } })
  await r.post('unknown-property', path, { json: { ...json, nonsense: 1 } })
  await r.post('nul-character', path, { json: { ...json, password: 'a\0b' } })
  await r.post('cross-site', path, { json, headers: { 'sec-fetch-site': 'cross-site' } })
  await r.post('same-site', path, { json, headers: { 'sec-fetch-site': 'same-site' } })
  await r.post('foreign-origin', path, { json, headers: { origin: 'https://evil.example.org' } })
  await r.post('null-origin', path, { json, headers: { origin: 'null' } })

  const body = JSON.stringify(json)
  const latin = Buffer.from('{"email":"\xe9"}', 'latin1')
  await r.post('body.array', path, { json: [] })
  await r.post('body.string', path, { json: 'text' })
  await r.post('body.null', path, { json: null })
  await r.post('body.empty', path, { body: '', headers: text('application/json') })
  await r.post('body.none', path)
  await r.post('body.no-type', path, { body })
  await r.post('body.text', path, { body, headers: text('text/plain') })
  await r.post('body.form', path, { body: 'email=a', headers: text('application/x-www-form-urlencoded') })
  await r.post('body.multipart', path, { body, headers: text('multipart/form-data; boundary=x') })
  await r.post('body.problem-json', path, { body, headers: text('application/problem+json') })
  await r.post('body.bad-type', path, { body, headers: text('nonsense') })
  await r.post('body.charset', path, { body, headers: text('application/json; charset=UTF-8') })
  await r.post('body.other-charset', path, { body, headers: text('application/json; charset=latin1') })
  await r.post('body.gzip', path, {
    body,
    headers: { ...text('application/json'), 'content-encoding': 'gzip' }
  })
  await r.post('body.identity', path, {
    body,
    headers: { ...text('application/json'), 'content-encoding': 'identity' }
  })
  await r.post('body.not-utf8', path, { body: latin, headers: text('application/json') })
  for (const [name, malformed] of Object.entries({
    truncated: '{"email":',
    'trailing-comma': '{"email":"a",}',
    'two-documents': '{} {}',
    'key-twice': '{"email":"a","email":"b"}',
    'key-twice-escaped': '{"email":"a","\\u0065mail":"b"}',
    proto: '{"__proto__":{}}',
    constructor: '{"constructor":{"prototype":{}}}',
    'lone-surrogate': '{"email":"\\ud800"}',
    'large-number': '{"email":1e999}',
    nan: '{"email":NaN}',
    'byte-order-mark': `\ufeff${body}`
  }))
    await r.post(`body.${name}`, path, { body: malformed, headers: text('application/json') })
  await r.post('body.deep', path, {
    body: `${'['.repeat(33)}${']'.repeat(33)}`,
    headers: text('application/json')
  })
  await r.post('body.too-large', path, {
    body: '{',
    headers: { ...text('application/json'), 'content-length': 1_048_577 }
  })

  await r.get('get.nobody', path)
  await r.get('get.bad-cookie', path, { headers: { cookie: 'latchkey_session=nonsense' } })
  await r.get('get.unknown-cookie', path, { headers: { cookie: `latchkey_session=${'a'.repeat(43)}` } })
  await r.get('get.other-cookie-name', path, { headers: { cookie: `session=${'a'.repeat(43)}` } })
  await r.get('get.basic', path, { headers: { authorization: 'Basic YTpi' } })
  await r.get('get.empty-bearer', path, { headers: { authorization: 'Bearer ' } })
  await r.get('get.cookie-and-token', path, { as: admin, headers: { authorization: 'Bearer nonsense' } })
  await r.get('get.cross-site', path, { as: admin, headers: { 'sec-fetch-site': 'cross-site' } })

  const list = await r.get('list', '/api/v1/sessions', { as: admin })
  await r.get('list.query', '/api/v1/sessions?colour=red', { as: admin })
  const { data: sessions } = list.json as { data: { id: string; current: boolean }[] }
  const other = sessions.find(({ current }) => !current)!
  await r.delete('end', `/api/v1/sessions/${other.id}`, { as: admin })
  await r.delete('end.again', `/api/v1/sessions/${other.id}`, { as: admin })
  await r.delete('end.unknown', `/api/v1/sessions/${NO_ID}`, { as: admin })
  await r.delete('end.no-id', '/api/v1/sessions/nonsense', { as: admin })
  await r.delete('end.cross-site', `/api/v1/sessions/${NO_ID}`, {
    as: admin,
    headers: { 'sec-fetch-site': 'cross-site' }
  })

  const leaving = await r.signIn(ADMIN_EMAIL, PASSWORD)
  await r.delete('sign-out', path, { as: leaving })
  await r.get('sign-out.after', path, { as: leaving })
  await r.delete('sign-out.again', path, { as: leaving })
  await r.delete('sign-out.json-type', path, {
    as: await r.signIn(ADMIN_EMAIL, PASSWORD),
    headers: text('application/json')
  })
  return { admin, id: user.id }
}
