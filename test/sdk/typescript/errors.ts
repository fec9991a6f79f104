import type { Test } from 'tap'
import { thrown, type World } from './world.ts'

const UNKNOWN = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f99'

export async function errors(t: Test, world: World) {
  const { sdk, proxy, client } = world
  const latchkey = await world.signedIn({ retries: 0 })

  t.test('a refusal says what the problem document says', async (t) => {
    const error = await thrown(t, sdk.LatchkeyError, latchkey.getAppCredential({ path: { id: UNKNOWN } }))
    const { name, status, code, message, requestId, attempts, errors, problem } = error
    t.match(
      { name, status, code, attempts, errors },
      { name: 'LatchkeyError', status: 404, code: 'not-found', attempts: 1, errors: [] }
    )
    t.match(requestId, /^[0-9a-f-]{36}$/)
    t.equal(message, `There is no such thing, or you may not know of it. (not-found, 404, ${requestId})`)
    t.match(problem, { title: 'Not found', detail: 'There is no such thing, or you may not know of it.' })
  })

  t.test('bad input is named by field', async (t) => {
    const work = latchkey.createProject({ body: { name: '' } })
    const { code, errors } = await thrown(t, sdk.LatchkeyError, work)
    t.equal(code, 'validation-failed')
    t.match(errors, [{ path: '/body/name', code: String, message: String }])
  })

  t.test('a conflict says with what', async (t) => {
    const { id } = await world.newCredential()
    await latchkey.putUsage({ path: { id, consumer: 'workflow:42' } })
    const error = await thrown(t, sdk.LatchkeyError, latchkey.deleteAppCredential({ path: { id } }))
    t.match(error, { status: 409, code: 'credential-in-use', problem: { consumers: ['workflow:42'] } })
  })

  t.test('the Lightning surface’s own form is in the body', async (t) => {
    const error = await thrown(
      t,
      sdk.LatchkeyError,
      latchkey.lightningDeleteCredential({ path: { id: UNKNOWN } })
    )
    t.match(error, { status: 404, code: undefined, problem: undefined })
    t.match(error.body, { error: String })
  })

  t.test('Retry-After is in seconds', async (t) => {
    const wrong = { email: 'nobody@example.org', password: 'not the one' }
    let error = await thrown(t, sdk.LatchkeyError, client().signIn(wrong))
    t.equal(error.code, 'invalid-credentials')
    for (let i = 0; i < 30 && error.status !== 429; i++)
      error = await thrown(t, sdk.LatchkeyError, client().signIn(wrong))
    t.equal(error.code, 'too-many-attempts')
    t.ok(error.retryAfterSeconds! > 0, `${error.retryAfterSeconds}`)
    const date = new Date(Date.now() + 90_000).toUTCString()
    proxy.next({ status: 503, headers: { 'retry-after': date } })
    const later = await thrown(t, sdk.LatchkeyError, latchkey.getSession())
    t.ok(later.retryAfterSeconds! > 80 && later.retryAfterSeconds! <= 90, `${later.retryAfterSeconds}`)
  })

  t.test('what is between has a status and no code', async (t) => {
    proxy.next({ status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>Bad gateway</h1>' })
    const error = await thrown(t, sdk.LatchkeyError, latchkey.getSession())
    t.match(error, {
      status: 502,
      code: undefined,
      problem: undefined,
      body: undefined,
      requestId: undefined
    })
  })

  t.test('an answer that is none of the service’s is no success', async (t) => {
    proxy.next({
      status: 200,
      headers: { 'content-type': 'text/html' },
      body: '<h1>Sign in to this network</h1>'
    })
    t.notMatch((await thrown(t, sdk.LatchkeyNetworkError, latchkey.getSession())).message, 'network</h1>')
    proxy.next({ status: 307, headers: { location: `${proxy.origin}/elsewhere` } })
    await thrown(t, sdk.LatchkeyNetworkError, latchkey.createProject({ body: { name: 'x' } }))
    t.notOk(
      proxy.passed.some(({ url }) => url === '/elsewhere'),
      'what was sent is not sent elsewhere'
    )
  })

  t.test('no answer, and none in time, are errors of their own', async (t) => {
    for (const fault of ['refused', 'lost', 'cut'] as const) {
      proxy.next(fault)
      const error = await thrown(t, sdk.LatchkeyNetworkError, latchkey.listProjects())
      t.notOk(error instanceof sdk.LatchkeyTimeoutError, fault)
      t.match(error.message, /^No answer from the service( \([A-Z_]+\))?\.$/)
    }
    proxy.next('silent')
    const impatient = client({ retries: 0, attemptSeconds: 0.1 })
    const error = await thrown(t, sdk.LatchkeyTimeoutError, impatient.listProjects())
    t.ok(error instanceof sdk.LatchkeyNetworkError)
  })
}
