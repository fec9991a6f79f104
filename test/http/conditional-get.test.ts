import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { newCredential, newType } from '../helpers/fixtures.ts'
import { send } from '../helpers/raw-request.ts'

t.test('a GET with a matching If-None-Match is 304 (RFC 9110, 13.1.2)', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const { id } = await newCredential(ann, await newType(ann))
  const path = `/api/v1/app-credentials/${id}`
  const ask = (condition: string, method = 'GET', url = path) =>
    send(service.origin, url, { method, headers: { cookie: ann.cookie!, 'if-none-match': condition } })
  const has: [string, number][] = [
    ['"1"', 304],
    ['W/"1"', 304],
    ['"9", "1"', 304],
    ['"9",W/"1" , "x"', 304],
    ['*', 304],
    ['"2"', 200],
    ['"11"', 200],
    ['1', 200],
    ['', 200],
    ['"1', 200],
    ['nonsense', 200]
  ]
  for (const [condition, status] of has) {
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask(condition, method)
      t.equal(answer.status, status, `${method} ${condition}`)
      t.equal(answer.headers.etag, '"1"')
      t.equal(answer.headers['cache-control'], 'no-store')
      if (status !== 304) continue
      t.equal(answer.text, '')
      if (method === 'HEAD') continue
      t.equal(answer.headers['content-type'], undefined)
      t.equal(answer.headers['content-length'], undefined)
    }
  }
  await ann.put(path, { description: 'changed' })
  t.equal((await ask('"1"')).status, 200)
  t.equal((await ask('"2"')).status, 304)
  t.equal((await ask('*', 'GET', '/api/v1/app-credentials')).status, 200, 'a list has no ETag')

  const eve = await service.newUser()
  const hidden = await eve.get(path, { headers: { 'if-none-match': '*' } })
  t.match(hidden.json, { status: 404 }, 'a hidden credential is not found')
  t.equal(
    (await eve.get('/api/v1/app-credentials/nonsense', { headers: { 'if-none-match': '*' } })).status,
    404
  )
  const anonymous = await send(service.origin, path, { method: 'GET', headers: { 'if-none-match': '*' } })
  t.equal(anonymous.status, 401)
})
