import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import type { Test } from 'tap'
import { freePort } from '../../helpers/free-port.ts'
import { type Sdk, thrown, type World } from './world.ts'

/** Tests responses, hooks, the user agent and the causes of errors. */
export async function observed(t: Test, world: World) {
  t.test('a call also returns the response', async (t) => {
    const latchkey = world.client({ token: world.tokens.personal })
    const { id } = await world.newCredential()
    const { data, response } = await latchkey.getAppCredential({ path: { id } }).withResponse()
    t.equal(data.id, id)
    t.match(response, { status: 200, requestId: /^[\w-]+$/ })
    t.equal(response.headers.get('etag'), '"1"')
    const body = {
      typeName: `Seen ${id}`,
      fields: [{ fieldName: 'a', fieldLabel: 'a', fieldType: 'text' as const }]
    }
    const headers = { 'idempotency-key': id }
    const first = await latchkey.createCredentialType({ body, headers }).withResponse()
    const again = await latchkey.createCredentialType({ body, headers }).withResponse()
    t.equal(first.response.headers.get('location'), `/api/v1/credential-types/${first.data.id}`)
    t.equal(again.response.headers.get('idempotency-replayed'), 'true')
    const missing = latchkey.getAppCredential({ path: { id: first.data.id } })
    t.match(await thrown(t, world.sdk.LatchkeyError, missing), { status: 404 })
    t.match(await thrown(t, world.sdk.LatchkeyError, missing.withResponse()), { status: 404 })
    t.equal(await latchkey.getSession().catch(() => 'caught'), 'caught')
    t.equal((await latchkey.listProjects().finally(() => {})).page, 1)
    t.ok(latchkey.listProjects() instanceof Promise)
  })

  t.test('the response does not contain the session cookie', async (t) => {
    const { email, password } = world.ann.person
    const { response } = await world.client().createSession({ body: { email, password } }).withResponse()
    t.equal(response.headers.get('set-cookie'), null)
  })

  t.test('hooks get attempts, but neither tokens nor bodies', async (t) => {
    const events: [string, object][] = []
    const hook = (name: string) => (event: object) => {
      events.push([name, event])
      throw new Error('of a hook')
    }
    const hooks = { onRequest: hook('request'), onResponse: hook('response'), onRetry: hook('retry') }
    const latchkey = world.client({ token: world.tokens.runner, ...hooks })
    await world.newCredential({ credentialName: 'Watched' })
    world.proxy.next({ status: 503, headers: { 'retry-after': '0' } })
    await latchkey.resolve(world.project, { name: 'Watched' })
    t.same(
      events.map(([name]) => name),
      ['request', 'response', 'retry', 'request', 'response']
    )
    const operation = { operation: 'resolveCredentials', method: 'POST', url: /\/resolve$/ }
    t.match(events[1]![1], { ...operation, attempt: 1, status: 503, milliseconds: Number })
    t.match(events[2]![1], { ...operation, attempt: 1, delayMilliseconds: Number, error: { status: 503 } })
    t.match(events[4]![1], { ...operation, attempt: 2, status: 200, requestId: /^[\w-]+$/ })
    t.notMatch(JSON.stringify(events), world.tokens.runner)
    t.notMatch(JSON.stringify(events), /hunter2|authorization/i)
    for (const onRetry of ['x', {}] as never[]) t.throws(() => world.client({ onRetry }), TypeError)
  })

  t.test('the audit log records the name of the program', async (t) => {
    const { version } = (await import('../../../package.json', { with: { type: 'json' } })).default
    const node = process.versions.node.split('.')[0]
    const agents = async (options: Partial<Sdk.LatchkeyOptions>) => {
      const latchkey = world.client({ token: world.tokens.personal, ...options })
      const { id } = await world.newCredential()
      await latchkey.revealAppCredential({ path: { id } })
      const { data } = (
        await world.ann.get(`/api/v1/audit-events?credentialId=${id}&action=credential.revealed`)
      ).json
      return data.map((event: { userAgent: string }) => event.userAgent)
    }
    t.same(await agents({}), [`latchkey-client/${version} (node ${node})`])
    t.same(await agents({ appInfo: { name: 'nightly', version: '2.1' } }), [
      `latchkey-client/${version} (node ${node}) nightly/2.1`
    ])
    for (const name of ['', 'a b', 'a\r\nx: y', 'ä', 'a'.repeat(65), 1 as never])
      t.throws(() => world.client({ appInfo: { name } }), TypeError)
  })

  t.test('a network error has the code of the connection failure', async (t) => {
    const settings = { retries: 0, token: 'x' }
    // TLS alerts: protocol_version and handshake_failure.
    for (const alert of [70, 40]) {
      const server = createServer((socket) => {
        socket.on('error', () => {})
        socket.once('data', () => socket.end(Buffer.from([21, 3, 1, 0, 2, 2, alert])))
      }).listen(0, '127.0.0.1')
      t.teardown(() => server.close())
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const tls = world.client({ ...settings, baseUrl: `https://127.0.0.1:${port}` })
      const failed = await thrown(t, world.sdk.LatchkeyNetworkError, tls.listProjects())
      t.match(failed, { code: /^ERR_SSL_/, cause: { code: failed.code } })
      t.match(failed.message, failed.code!)
    }
    const refused = world.client({ ...settings, baseUrl: `http://127.0.0.1:${await freePort()}` })
    t.match(await thrown(t, world.sdk.LatchkeyNetworkError, refused.listProjects()), {
      code: 'ECONNREFUSED',
      cause: { code: 'ECONNREFUSED' }
    })
  })
}
