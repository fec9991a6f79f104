import type { Test } from 'tap'
import { uniqueName } from '../../helpers/fixtures.ts'
import { thrown, type World } from './world.ts'

export async function retries(t: Test, world: World) {
  const { sdk, proxy } = world
  const latchkey = await world.signedIn()
  const times = () => proxy.passed.length
  t.beforeEach(() => {
    proxy.passed.length = 0
  })

  t.test('temporary failures are retried', async (t) => {
    for (const fault of [
      'refused',
      'lost',
      'cut',
      { status: 502 },
      { status: 503 },
      { status: 504 }
    ] as const) {
      proxy.passed.length = 0
      proxy.next(fault)
      t.equal((await latchkey.getSession()).user.id, world.ann.person.id)
      t.equal(times(), 2, `${JSON.stringify(fault)}`)
    }
  })

  t.test('a create is done once, despite failures', async (t) => {
    const name = uniqueName('project')
    proxy.next('lost', 'refused', 'cut')
    const { id } = await latchkey.createProject({ body: { name } })
    t.equal(times(), 4)
    const keys = new Set(proxy.passed.map(({ headers }) => headers['idempotency-key']))
    t.equal(keys.size, 1, 'one key for all attempts')
    t.match([...keys][0], /^[0-9a-f]{32}$/)
    const made = await latchkey.listProjects({ query: { search: name } })
    t.same(
      made.data.map((one) => one.id),
      [id]
    )
    await latchkey.createProject({ body: { name: uniqueName('project') } })
    t.notOk(keys.has(proxy.passed.at(-1)!.headers['idempotency-key']), 'another call has another key')
  })

  t.test('a key of the caller is used', async (t) => {
    const request = {
      body: { name: uniqueName('project') },
      headers: { 'idempotency-key': `mine-1${process.pid}` }
    }
    const [one, two] = [await latchkey.createProject(request), await latchkey.createProject(request)]
    t.equal(one.id, two.id)
    const other = latchkey.createProject({ ...request, body: { name: 'another' } })
    t.equal((await thrown(t, sdk.LatchkeyError, other)).code, 'idempotency-key-reused')
  })

  t.test('requests that could have been carried out are not repeated', async (t) => {
    const { id } = await world.newCredential()
    const assign = () => latchkey.assignProjects({ path: { id }, body: { projectIds: [] } })
    for (const fault of ['refused', 'lost', 'cut', { status: 502 }] as const) {
      proxy.passed.length = 0
      proxy.next(fault)
      await t.rejects(assign())
      t.equal(times(), 1, `${JSON.stringify(fault)}`)
    }
    proxy.next({ status: 503, headers: { 'retry-after': '0' } })
    await t.rejects(assign())
    proxy.passed.length = 0
    proxy.next('lost')
    const reveal = () => latchkey.revealAppCredential({ path: { id }, body: {} })
    await t.rejects(reveal(), 'the service may have revealed the values')
    t.equal(times(), 1)
    proxy.next({ status: 503, headers: { 'retry-after': '0' } })
    t.equal((await reveal()).id, id)
    t.equal(times(), 3, 'repeated if the service says that it did nothing')
  })

  t.test('a retry does not overwrite changes of others', async (t) => {
    const { id } = await latchkey.createProject({ body: { name: uniqueName('project') } })
    const name = uniqueName('mine')
    const rename = () => latchkey.updateProject({ path: { id }, body: { name } })
    const { id: credential } = await world.newCredential()
    const end = () => latchkey.deleteEnvironment({ path: { id: credential, environment: 'staging' } })
    const calls: (() => Promise<unknown>)[] = [rename, end]
    for (const call of calls)
      for (const fault of ['lost', { status: 502 }, { status: 503 }] as const) {
        proxy.passed.length = 0
        proxy.next(fault)
        await t.rejects(call())
        t.equal(times(), 1, `${JSON.stringify(fault)}`)
      }
    proxy.passed.length = 0
    proxy.next({ status: 503, headers: { 'retry-after': '0' } })
    t.equal((await rename()).name, name)
    t.equal(times(), 2, 'the service says that it did nothing')
    proxy.passed.length = 0
    proxy.next('lost')
    await latchkey.putUsage({ path: { id: credential, consumer: 'workflow:42' } })
    t.equal(times(), 2, 'usages have no content to overwrite')
  })

  t.test('refusals are not retried', async (t) => {
    await t.rejects(latchkey.createProject({ body: { name: '' } }))
    t.equal(times(), 1)
    proxy.next({ status: 500 })
    t.equal((await thrown(t, sdk.LatchkeyError, latchkey.getSession())).attempts, 1)
    t.equal(times(), 2)
  })

  t.test('an update with If-Match whose response was lost is 412, with two attempts', async (t) => {
    const { id, revision } = await world.newCredential()
    proxy.next('lost')
    const work = latchkey.updateAppCredential({
      path: { id },
      headers: sdk.ifMatch(revision),
      body: { description: 'once' }
    })
    const error = await thrown(t, sdk.LatchkeyError, work)
    t.match(error, { code: 'revision-changed', attempts: 2 })
    const now = await latchkey.getAppCredential({ path: { id } })
    t.match(now, { description: 'once', revision: revision + 1 })
  })

  t.test('Retry-After is waited for, unless that takes too long', async (t) => {
    proxy.next({ status: 429, headers: { 'retry-after': '1' } })
    const started = performance.now()
    await latchkey.getSession()
    t.ok(performance.now() - started >= 1000)
    proxy.next({ status: 503, headers: { 'retry-after': '40' } })
    const error = await thrown(t, sdk.LatchkeyError, latchkey.getSession())
    t.match(error, { retryAfterSeconds: 40, attempts: 1 })
    t.ok(performance.now() - started < 15_000)
  })

  t.test('the number of attempts and the total time are limited', async (t) => {
    proxy.next(...Array<'refused'>(4).fill('refused'))
    t.equal((await thrown(t, sdk.LatchkeyNetworkError, latchkey.getSession())).attempts, 4)
    t.equal(times(), 4)
    const started = performance.now()
    proxy.next(...Array<'silent'>(20).fill('silent'))
    const impatient = await world.client({ attemptSeconds: 0.2, totalSeconds: 0.6, retries: 20 })
    await thrown(t, sdk.LatchkeyTimeoutError, impatient.getLiveness())
    t.ok(performance.now() - started < 15_000, 'it ends')
    t.ok(times() < 10)
    proxy.calm()
  })

  t.test('delays are random, and their maximum doubles', async (t) => {
    const { random } = Math
    t.teardown(() => {
      Math.random = random
    })
    const took: number[] = []
    for (const part of [0.99, 0, 0, 0]) {
      Math.random = () => part
      proxy.next('refused', 'refused')
      const started = performance.now()
      await latchkey.getSession()
      took.push(performance.now() - started)
    }
    t.ok(took[0]! >= 590, `${took}: at most 200 and 400 ms`)
    // The shortest one, because a busy machine can delay single requests.
    t.ok(Math.min(...took) < 400, `${took}: at least 0 ms`)
  })

  t.test('an abort takes effect at once, during and between attempts', async (t) => {
    for (const fault of ['silent', { status: 503, headers: { 'retry-after': '20' } }] as const) {
      proxy.next(fault)
      const controller = new AbortController()
      const work = latchkey.getSession({ signal: controller.signal })
      const started = performance.now()
      const reason = new Error('enough')
      setTimeout(() => controller.abort(reason), 100)
      t.equal(await thrown(t, Error, work), reason)
      t.ok(performance.now() - started < 10_000)
    }
    const before = times()
    const aborted = AbortSignal.abort(new Error('before'))
    t.equal((await thrown(t, Error, latchkey.getSession({ signal: aborted }))).message, 'before')
    t.equal(times(), before)
  })
}
