import { inspect } from 'node:util'
import type { Test } from 'tap'
import { thrown, type World } from './world.ts'

export async function callers(t: Test, world: World) {
  const { client, proxy, sdk, tokens, ann, service } = world
  const { email, password } = ann.person
  const passed = () => proxy.passed.at(-1)!.headers
  /** Returns the last sent cookie. The argument makes the caller wait for the request. */
  const passedAfter = (_: unknown) => passed().cookie!

  t.test('a user signs in, stays signed in, and signs out', async (t) => {
    const latchkey = client()
    t.equal((await thrown(t, sdk.LatchkeyError, latchkey.getSession())).code, 'unauthenticated')
    const { user } = await latchkey.signIn({ email, password })
    t.equal(user.id, ann.person.id)
    t.equal((await latchkey.getSession()).user.email, email)
    t.match(passed().cookie, /^latchkey_session=/)
    const cookie = passed().cookie!
    await latchkey.signOut()
    await thrown(t, sdk.LatchkeyError, latchkey.getSession())
    t.equal(passed().cookie, undefined, 'the cookie is no longer sent')
    const old = await fetch(`${service.origin}/api/v1/session`, { headers: { cookie } })
    t.equal(old.status, 401, 'the session has ended')
  })

  t.test('a session that has ended elsewhere is not sent again', async (t) => {
    const latchkey = await world.signedIn()
    const { session } = await latchkey.getSession()
    await ann.delete(`/api/v1/sessions/${session.id}`)
    await thrown(t, sdk.LatchkeyError, latchkey.getSession())
    await thrown(t, sdk.LatchkeyError, latchkey.getSession())
    t.equal(passed().cookie, undefined)
  })

  t.test('a response to an earlier session does not affect the current session', async (t) => {
    const latchkey = await world.signedIn({ retries: 0 })
    const old = passedAfter(await latchkey.getSession())
    // During a request with the old session, a new session starts and the old one ends.
    proxy.before = async () => {
      proxy.before = () => {}
      await latchkey.signIn({ email, password })
      await fetch(`${service.origin}/api/v1/session`, { method: 'DELETE', headers: { cookie: old } })
    }
    await thrown(t, sdk.LatchkeyError, latchkey.getSession())
    t.not(passedAfter(await latchkey.getSession()), old)
  })

  t.test('a failed sign-in does not end the session', async (t) => {
    const latchkey = await world.signedIn()
    const wrong = latchkey.signIn({ email, password: 'not the one' })
    t.equal((await thrown(t, sdk.LatchkeyError, wrong)).code, 'invalid-credentials')
    t.equal((await latchkey.getSession()).user.email, email)
  })

  t.test('the timeout of an attempt includes the time to get the token', async (t) => {
    const token = () => new Promise<string>(() => {})
    const calls = (attemptSeconds: number) => {
      const hanging = client({ token, attemptSeconds, retries: 0 })
      return {
        operation: (signal?: AbortSignal) => hanging.getSession({ signal }),
        resolve: (signal?: AbortSignal) => hanging.resolve(world.project, { name: 'x' }, { signal })
      }
    }
    for (const [name, call] of Object.entries(calls(0.2))) {
      const error = await thrown(t, sdk.LatchkeyTimeoutError, call())
      t.equal(error.message, 'No token within 0.2 seconds.', name)
    }
    for (const [name, call] of Object.entries(calls(600))) {
      const reason = new Error('enough')
      const controller = new AbortController()
      setTimeout(() => controller.abort(reason), 20)
      t.equal(await thrown(t, Error, call(controller.signal)), reason, `${name}: aborted`)
    }
  })

  t.test('the token can be a string or a function', async (t) => {
    let asked = 0
    const token = async () => {
      asked++
      return tokens.personal
    }
    for (const latchkey of [client({ token: tokens.personal }), client({ token })]) {
      await latchkey.listAppCredentials()
      t.equal(passed().authorization, `Bearer ${tokens.personal}`)
      t.equal(passed().cookie, undefined)
      await thrown(t, TypeError, latchkey.signIn({ email, password }))
    }
    t.equal(asked, 1)
    proxy.next({ status: 503 })
    await client({ token }).listAppCredentials()
    t.equal(asked, 3, 'the function is called before each attempt')
  })

  t.test('every operation of the document exists, and is authenticated', async (t) => {
    const latchkey = client({ token: tokens.personal, retries: 0 })
    proxy.before = () => {}
    const operations = Object.entries(service.contract.document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => ({ path, method, operationId }))
    )
    t.ok(operations.length > 40, `${operations.length} operations`)
    for (const { path, method, operationId } of operations) {
      const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
      const given = {
        path: Object.fromEntries(names.map((name) => [name, `a ${name}`])),
        body: method === 'get' ? undefined : {}
      }
      const call = Reflect.get(latchkey, operationId) as (given: object) => Promise<unknown>
      proxy.passed.length = 0
      proxy.next({ status: 418 })
      const error = await thrown(t, sdk.LatchkeyError, call(given))
      t.equal(error.status, 418)
      const [one, ...others] = proxy.passed
      t.equal(others.length, 0)
      t.equal(`${one?.method} ${one?.url}`, `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, 'a%20$1')}`)
      t.equal(one?.headers.authorization, `Bearer ${tokens.personal}`, operationId)
    }
  })

  t.test('invalid options and arguments are refused without printing secrets', async (t) => {
    const bad: [object, string][] = [
      [{ baseUrl: 'latchkey.example.org' }, 'TypeError'],
      [{ baseUrl: 'ftp://latchkey.example.org' }, 'TypeError'],
      [{ baseUrl: 'https://ann:hunter2@latchkey.example.org' }, 'TypeError'],
      [{ baseUrl: 'https://latchkey.example.org?key=hunter2' }, 'TypeError'],
      [{ retries: -1 }, 'RangeError'],
      [{ attemptSeconds: Number.NaN }, 'RangeError'],
      [{ keepSeconds: 301 }, 'RangeError'],
      [{ attemptSeconds: Infinity }, 'RangeError'],
      [{ attemptSeconds: 3e6 }, 'RangeError'],
      [{ totalSeconds: Infinity }, 'RangeError'],
      [{ keepMost: Infinity }, 'RangeError'],
      [{ retries: null }, 'TypeError'],
      [{ retries: '3' }, 'TypeError'],
      [{ keepSeconds: null }, 'TypeError'],
      [{ token: null }, 'TypeError'],
      [{ fetch: null }, 'TypeError'],
      [{ baseUrl: null }, 'TypeError']
    ]
    for (const [options, name] of bad) {
      t.throws(() => client(options), { name }, inspect(options))
      t.throws(() => client(options), { message: /^(?!.*hunter2)/s })
    }
    const latchkey = client({ token: tokens.personal })
    proxy.passed.length = 0
    for (const projectId of ['', '.', '..', undefined as unknown as string])
      await thrown(t, TypeError, latchkey.removeCredentialFromProject({ path: { projectId, id: 'x' } }))
    for (const path of [undefined, {}, { projectId: 'x' }])
      await thrown(t, TypeError, latchkey.removeCredentialFromProject({ path } as never))
    const nothing = async () => undefined as unknown as string
    for (const token of ['', 'hunter2\nhunter2', 'hunter2 ü', nothing]) {
      const error = await thrown(t, TypeError, client({ token }).listProjects())
      t.notMatch(inspect(error), /hunter2/)
    }
    t.equal(proxy.passed.length, 0, 'no request is sent')
  })

  t.test('clients, results and errors do not print secrets', async (t) => {
    const made = await world.newCredential()
    const latchkey = await world.signedIn()
    const runner = client({ token: tokens.runner, keepSeconds: 60 })
    const resolved = await runner.resolve(world.project, { id: made.id })
    t.equal(resolved.values.password, 'hunter2 hunter2')
    proxy.next(
      { status: 500, body: 'hunter2' },
      { status: 200, body: 'hunter2', headers: { 'content-type': 'application/json' } }
    )
    const errors = [
      await thrown(t, sdk.LatchkeyError, runner.getLiveness()),
      await thrown(t, sdk.LatchkeyNetworkError, runner.getLiveness())
    ]
    const shown = [latchkey, runner, resolved, ...errors].flatMap((one) => [
      inspect(one, { depth: 20, showHidden: true }),
      JSON.stringify(one),
      String(one)
    ])
    t.match(shown.join(), resolved.id, 'the id of the credential is printed')
    for (const secret of ['hunter2', tokens.runner, password, 'latchkey_session'])
      t.notOk(shown.join().includes(secret), secret)
  })
}
