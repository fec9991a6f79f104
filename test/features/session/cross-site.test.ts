import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Client } from '../../helpers/client.ts'
import { startReplica } from '../../helpers/replica.ts'

const service = await startTestApp(t)
const UI = 'https://ui.example.org'
const listed = await startReplica(t, service, { env: { CORS_ORIGINS: `${UI},http://localhost:3000` } })
const published = await startReplica(t, service, { env: { PUBLIC_URL: 'http://keys.example.org' } })

const NEW = 'staple of another kind'
const change = (client: Client, headers: Record<string, string>) =>
  client.put(
    '/api/v1/users/me/password',
    { currentPassword: client.person.password, newPassword: NEW },
    { headers }
  )

t.test('a cross-site write with a cookie is refused and changes nothing', async (t) => {
  const ann = await service.newUser()
  const { host } = new URL(service.origin)
  const cases: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: '' },
    { origin: 'http://127.0.0.1' },
    { origin: `http://${host}.evil.example` },
    { origin: `http://evil.example/${host}` },
    { origin: `${service.origin}/` },
    { origin: UI },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'anything' },
    { origin: service.origin, 'sec-fetch-site': 'cross-site' },
    { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
    { origin: 'https://evil.example', 'x-forwarded-host': 'evil.example' }
  ]
  for (const headers of cases) {
    const name = JSON.stringify(headers)
    const answers = [
      await change(ann, headers),
      await ann.delete('/api/v1/session', { headers }),
      await ann.delete(`/api/v1/sessions/${ann.person.id}`, { headers })
    ]
    for (const { json } of answers) t.match(json, { status: 403, code: 'cross-site-request' }, name)
  }
  t.equal((await ann.get('/api/v1/session')).status, 200, 'still signed in')
  t.equal((await service.anonymous().signIn(ann.person)).status, 200, 'with the same password')
})

t.test('a cross-site sign-in is refused', async (t) => {
  const ann = await service.newUser()
  const { email, password } = ann.person
  const headers = { origin: 'https://evil.example' }
  const answer = await service.anonymous().post('/api/v1/session', { email, password }, { headers })
  t.match(answer.json, { status: 403, code: 'cross-site-request' })
  t.same(answer.headers.getSetCookie(), [])
})

t.test('a write from this site or from a program is accepted', async (t) => {
  const cases: Record<string, string>[] = [
    {},
    { origin: service.origin },
    { origin: service.origin, 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'none' }
  ]
  for (const headers of cases) {
    const ann = await service.newUser()
    t.equal((await change(ann, headers)).status, 200, JSON.stringify(headers))
  }
})

t.test('with PUBLIC_URL, only that origin is this site', async (t) => {
  const ann = published.client(await service.newUser())
  t.equal((await change(ann, { origin: published.origin })).status, 403)
  t.equal((await change(ann, { origin: 'https://keys.example.org' })).status, 403, 'another scheme')
  t.equal((await change(ann, { origin: 'http://keys.example.org' })).status, 200)
})

t.test('a cross-site read is accepted, but no other site may read the answer', async (t) => {
  const ann = await service.newUser()
  const headers = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
  for (const client of [ann, listed.client(ann)]) {
    const answer = await client.get('/api/v1/session', { headers })
    t.equal(answer.status, 200)
    t.equal(answer.headers.get('access-control-allow-origin'), null)
  }
})

t.test('a listed origin may write and read', async (t) => {
  const ann = listed.client(await service.newUser())
  const headers = { origin: UI, 'sec-fetch-site': 'cross-site' }
  const answer = await change(ann, headers)
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('access-control-allow-origin'), UI)
  t.equal(answer.headers.get('access-control-allow-credentials'), 'true')
  t.match(answer.headers.get('vary'), /origin/i)
  const { email } = ann.person
  const signedIn = await ann.other().post('/api/v1/session', { email, password: NEW }, { headers })
  t.equal(signedIn.status, 200)
  const refused = await ann.other().get('/api/v1/session', { headers })
  t.equal(refused.status, 401)
  t.equal(refused.headers.get('access-control-allow-origin'), UI, 'refusals can be read as well')
  t.equal((await change(ann, { origin: `${UI}.evil.example` })).status, 403, 'a similar origin may not')
})

t.test('a preflight is answered for listed origins only', async (t) => {
  const preflight = (origin: string, at: string) =>
    fetch(`${at}/api/v1/users/me/password`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'content-type'
      }
    })
  const good = await preflight(UI, listed.origin)
  t.equal(good.status, 204)
  t.equal(good.headers.get('access-control-allow-origin'), UI)
  t.equal(good.headers.get('access-control-allow-credentials'), 'true')
  t.match(good.headers.get('access-control-allow-methods'), 'PUT')
  t.match(good.headers.get('access-control-allow-headers'), 'content-type')
  for (const [origin, at] of [
    ['https://evil.example', listed.origin],
    ['null', listed.origin],
    [UI, service.origin]
  ] as const) {
    const answer = await preflight(origin, at)
    t.equal(answer.headers.get('access-control-allow-origin'), null, `${origin} at ${at}`)
  }
  const plain = await preflight(UI, service.origin)
  t.equal(plain.status, 204, 'with no list, OPTIONS only lists the methods')
  t.equal(plain.headers.get('allow'), 'OPTIONS, PUT')
})
