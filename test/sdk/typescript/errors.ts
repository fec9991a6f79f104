import { inspect } from 'node:util'
import type { Test } from 'tap'
import { thrown, type World } from './world.ts'

const UNKNOWN = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f99'

export async function errors(t: Test, world: World) {
  const { sdk, proxy, client } = world
  const latchkey = await world.signedIn({ retries: 0 })

  t.test('an error has the contents of the problem document', async (t) => {
    const error = await thrown(t, sdk.LatchkeyError, latchkey.getAppCredential({ path: { id: UNKNOWN } }))
    const { name, status, code, message, requestId, attempts, errors, problem } = error
    t.match(
      { name, status, code, attempts, errors },
      { name: 'LatchkeyError', status: 404, code: 'not-found', attempts: 1, errors: [] }
    )
    t.match(requestId, /^[0-9a-f-]{36}$/)
    t.equal(message, `Not found, or you do not have access. (not-found, 404, ${requestId})`)
    t.match(problem, { title: 'Not found', detail: 'Not found, or you do not have access.' })
  })

  t.test('input errors have the path of the field', async (t) => {
    const work = latchkey.createProject({ body: { name: '' } })
    const { code, errors } = await thrown(t, sdk.LatchkeyError, work)
    t.equal(code, 'validation-failed')
    t.match(errors, [{ path: '/body/name', code: String, message: String }])
  })

  t.test('a conflict has its details', async (t) => {
    const { id } = await world.newCredential()
    await latchkey.putUsage({ path: { id, consumer: 'workflow:42' } })
    const error = await thrown(t, sdk.LatchkeyError, latchkey.deleteAppCredential({ path: { id } }))
    t.match(error, { status: 409, code: 'credential-in-use', problem: { consumers: ['workflow:42'] } })
  })

  t.test('errors of the Lightning API are in the body', async (t) => {
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

  t.test('an error of a proxy has a status and no code', async (t) => {
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

  t.test('a response that is not from the service is an error', async (t) => {
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
      'redirects are not followed'
    )
  })

  t.test('tokens and control characters are removed from errors', async (t) => {
    const { personal } = world.tokens
    const headers = { 'content-type': 'application/problem+json', 'x-request-id': personal }
    const problem = { status: 400, title: 'x', code: 'bad-request', requestId: `of ${personal}` }
    const detail = `no\n\u001b[31mINFO ${personal}\u2028\u0085`
    const bodies = [
      { ...problem, detail, errors: 'none', consumers: [1], [personal]: [{ deep: personal }] },
      { ...problem, detail, errors: [{ path: '/x', code: 'x', message: detail }] },
      { ...problem, detail: { personal }, code: { personal } },
      { detail: null },
      [null],
      personal
    ]
    const forTwo = client({ token: personal, retries: 0 })
    for (const body of bodies) {
      proxy.next({ status: 400, headers, body: JSON.stringify(body) })
      const error = await thrown(t, sdk.LatchkeyError, forTwo.listProjects())
      const shown = [inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error.body)].join()
      t.notOk(shown.includes(personal), 'no token')
      // notMatch would print the control characters.
      const texts = [error.message, error.problem?.detail, ...error.errors.map(({ message }) => message)]
      t.notOk(/[\p{Cc}\u2028]/u.test(texts.join('')), 'no control characters')
      t.ok(Array.isArray(error.errors))
      t.ok(error.code === undefined || error.code === 'bad-request')
    }
    const session = await world.signedIn()
    await session.getSession()
    const [, secret] = proxy.passed.at(-1)!.headers.cookie!.split('=')
    proxy.next({ status: 400, headers, body: JSON.stringify({ ...problem, detail: `of ${secret}` }) })
    const error = await thrown(t, sdk.LatchkeyError, session.getSession())
    t.ok(error.message.startsWith('of [secret] ('), 'no session')
  })

  t.test('JSON that does not match the document is an error', async (t) => {
    const headers = { 'content-type': 'application/json' }
    const page = { data: [], total: 0, page: 1, pageSize: 20, nextCursor: null }
    const one = { id: 'x', credentialName: 'x', typeName: 'x', environment: 'main', revision: 1 }
    const calls: [() => Promise<unknown>, unknown[]][] = [
      [() => latchkey.getSession(), ['', null, [], 'x', 1]],
      [() => latchkey.listSessions(), ['', null, {}]],
      [
        () => latchkey.each('listProjects').next(),
        [
          {},
          { ...page, data: null },
          { ...page, data: [null] },
          { ...page, pageSize: 0 },
          { ...page, total: '1' }
        ]
      ],
      [() => latchkey.each('listAuditEvents').next(), [{}, { data: [] }, { data: [null], nextCursor: null }]],
      [
        () => latchkey.resolve(world.project, { name: 'x' }),
        [
          {},
          { results: [] },
          { results: [null] },
          { results: [{}] },
          { results: [{ status: 'failed', error: 'x' }] },
          { results: [{ ...one, status: 'other' }] },
          { results: [{ ...one, expiresAt: null }] },
          { results: [{ ...one, expiresAt: 'x', values: {} }] }
        ]
      ]
    ]
    for (const [call, answers] of calls)
      for (const answer of answers) {
        proxy.next({ status: 200, headers, body: answer === '' ? '' : JSON.stringify(answer) })
        const error = await thrown(t, sdk.LatchkeyNetworkError, call())
        t.equal(error.message, 'This is not a response from Latchkey.', JSON.stringify(answer))
      }
    proxy.next({ status: 204 })
    await thrown(t, sdk.LatchkeyNetworkError, latchkey.getSession())
    proxy.next({ status: 204 })
    t.equal(await latchkey.lightningDeleteCredential({ path: { id: UNKNOWN } }), undefined)
    const patient = await world.signedIn()
    proxy.next('refused', { status: 502 }, { status: 200, body: '<h1>Sign in</h1>' })
    const third = await thrown(t, sdk.LatchkeyNetworkError, patient.getSession())
    t.equal(third.attempts, 3, 'the error has the number of attempts')
  })

  t.test('a response that is too large is neither read completely nor retried', async (t) => {
    proxy.passed.length = 0
    proxy.next({ status: 200, body: `"${'x'.repeat(33 * 1024 * 1024)}"` })
    const patient = client({ token: world.tokens.personal })
    const error = await thrown(t, sdk.LatchkeyNetworkError, patient.listProjects())
    t.equal(error.message, 'The response is larger than 32 MiB.')
    t.equal(proxy.passed.length, 1)
  })

  t.test('network errors and timeouts have their own classes', async (t) => {
    for (const fault of ['refused', 'lost', 'cut'] as const) {
      proxy.next(fault)
      const error = await thrown(t, sdk.LatchkeyNetworkError, latchkey.listProjects())
      t.notOk(error instanceof sdk.LatchkeyTimeoutError, fault)
      t.match(error.message, /^No response from the service( \([A-Z_]+\))?\.$/)
    }
    proxy.next('silent')
    const impatient = client({ retries: 0, attemptSeconds: 0.1 })
    const error = await thrown(t, sdk.LatchkeyTimeoutError, impatient.listProjects())
    t.ok(error instanceof sdk.LatchkeyNetworkError)
  })
}
