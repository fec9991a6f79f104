// The service behind nginx and Caddy, with the files in deploy/proxies.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import t from 'tap'
import { createTestDatabase } from '../helpers/database.ts'
import { freePort } from '../helpers/free-port.ts'
import { makeBed, missing } from './bed.ts'
import { HOST, PROXIES, startReverseProxy } from './proxies.ts'
import { serviceIn } from './replicas.ts'

t.setTimeout(240_000)

const SIGN_IN = JSON.stringify({ email: 'admin@example.org', password: 'correct horse battery' })
const page = await readFile(join(import.meta.dirname, '../../docs/operations/reverse-proxy.md'), 'utf8')
/** The settings of the service on the page. */
const settings = Object.fromEntries(
  [...page.matchAll(/^ *(PUBLIC_URL|TRUST_PROXY)=(.+)$/gm)].map(([, name, value]) => [name, value])
)

for (const name of PROXIES) {
  const skip = await missing(name, 'openssl')
  t.test(`behind ${name}`, skip ? { skip } : {}, async (t) => {
    t.same(Object.keys(settings).sort(), ['PUBLIC_URL', 'TRUST_PROXY'])
    const bed = await makeBed(t)
    const database = await createTestDatabase()
    t.teardown(database.drop)
    const port = await freePort()
    const service = await serviceIn(t, bed)
    const replica = service.run({ DATABASE_URL: database.url, PORT: String(port), ...settings })
    await replica.printed(/listens on/)
    const proxy = await startReverseProxy(bed, name, port)
    const { send } = proxy

    const signedIn = await send('/api/v1/session', { method: 'POST', body: SIGN_IN })
    t.equal(signedIn.status, 200, signedIn.text)
    const [setCookie = ''] = signedIn.headers['set-cookie'] ?? []
    t.match(setCookie, /^__Host-latchkey_session=.*; Secure/)
    const headers = { cookie: setCookie.split(';')[0]!, origin: `https://${HOST}` }

    await t.test('the session works, and other origins cannot use it', async (t) => {
      const project = (origin: string) =>
        send('/api/v1/projects', {
          method: 'POST',
          body: '{"name":"Proxied"}',
          headers: { ...headers, origin }
        })
      t.equal((await project('https://evil.example.org')).status, 403)
      t.equal((await project(headers.origin)).status, 201)
    })

    await t.test('browsers always use TLS', async (t) => {
      t.equal(
        signedIn.headers['strict-transport-security'],
        'max-age=31536000; includeSubDomains',
        'sent once'
      )
      const redirected = await proxy.sendPlain(proxy.httpPort, '/docs?x=1')
      t.match(redirected, {
        status: 308,
        headers: { location: new RegExp(`^https://${HOST}(:\\d+)?/docs\\?x=1$`) }
      })
    })

    await t.test('the address of the client is recorded, and cannot be forged', async (t) => {
      const forged = {
        'x-forwarded-for': '203.0.113.7',
        forwarded: 'for=203.0.113.7',
        'x-real-ip': '203.0.113.7'
      }
      const fail = (email: string, from: string) => ({
        method: 'POST',
        body: JSON.stringify({ email, password: 'a wrong password' }),
        headers: forged,
        from
      })
      t.equal((await send('/api/v1/session', fail('through@example.org', '127.0.0.2'))).status, 401)
      t.equal(
        (await proxy.sendPlain(port, '/api/v1/session', fail('around@example.org', '127.0.0.3'))).status,
        401
      )
      const events = JSON.parse((await send('/api/v1/audit-events?limit=100', { headers })).text)
      const text = JSON.stringify(events)
      t.notMatch(text, '203.0.113.7')
      t.match(text, '127.0.0.2', 'through the proxy')
      t.match(text, '127.0.0.3', 'without the proxy')
    })

    await t.test('Swagger UI works, and is compressed; API responses are not', async (t) => {
      const gzip = { 'accept-encoding': 'gzip' }
      const ui = await send('/docs', { headers: gzip })
      const path = ui.headers.location ?? '/docs'
      const html = ui.headers.location ? await send(path, { headers: gzip }) : ui
      t.equal(html.status, 200)
      const scripts = [...html.text.matchAll(/<script[^>]+src="([^"]+)"/g)].map(([, source = '']) => source)
      t.ok(scripts.length > 1, `${scripts.length} scripts`)
      let compressed = 0
      for (const source of scripts) {
        const { pathname } = new URL(source, `https://${HOST}${path}`)
        const answer = await send(pathname, { headers: gzip })
        t.equal(answer.status, 200, pathname)
        if (answer.headers['content-encoding'] === 'gzip') compressed++
      }
      t.ok(compressed > 0, 'scripts are compressed')
      const types = await send('/api/v1/credential-types?pageSize=100', { headers: { ...headers, ...gzip } })
      t.ok(types.text.length > 10_000, `${types.text.length} characters`)
      t.equal(types.headers['content-encoding'], undefined)
    })

    await t.test('large bodies reach the service, which refuses those over its limit', async (t) => {
      const body = (length: number) => JSON.stringify({ name: 'x'.repeat(length) })
      const post = (length: number) =>
        send('/api/v1/projects', { method: 'POST', body: body(length), headers })
      t.match(await post(1_000_000), { status: 400, headers: { 'content-type': /problem\+json/ } })
      t.match(await post(1_100_000), { status: 413, headers: { 'content-type': /problem\+json/ } })
      t.notMatch(await proxy.daemon.output(), 'temporary file', 'no body is written to disk')
    })

    await t.test('a response with long headers passes', async (t) => {
      const search = encodeURIComponent('\u{1f600}'.repeat(199))
      const answer = await send(`/api/credentials?search=${search}&pageSize=1&page=2`, { headers })
      t.equal(answer.status, 200)
      t.ok(answer.headers.link!.length > 7_000, 'the Link header is long')
    })

    await t.test('a client that sends half a request is cut off', async (t) => {
      // Sign-in reads its body. A response before the body could leave the connection open for reuse.
      const head = `POST /api/v1/session HTTP/1.1\r\nhost: ${HOST}\r\ncontent-type: application/json\r\n`
      const started = Date.now()
      const cut = ['GET /livez HTTP/1.1\r\n', `${head}content-length: 9\r\n\r\n{`].map(async (half) => {
        const socket = proxy.connect().resume()
        socket.write(half)
        await once(socket, 'close', { signal: AbortSignal.timeout(50_000) })
      })
      await Promise.all(cut)
      t.ok(Date.now() - started < 15_000, `after ${Date.now() - started} ms`)
    })

    await t.test('the proxy waits longer than the service', async (t) => {
      await database.db.transaction().execute(async (trx) => {
        await sql`lock table projects in access exclusive mode`.execute(trx)
        const answer = await send('/api/v1/projects', { headers })
        t.match(answer, { status: 503, headers: { 'content-type': /problem\+json/ } })
        t.match(JSON.parse(answer.text).code, 'unavailable')
      })
      t.equal((await send('/api/v1/projects', { headers })).status, 200)
    })
  })
}
