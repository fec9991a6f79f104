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

  t.test('what passes is waited for', async (t) => {
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

  t.test('a create is done once, whatever happens on the way', async (t) => {
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

  t.test('a caller’s own key is kept', async (t) => {
    const request = {
      body: { name: uniqueName('project') },
      headers: { 'idempotency-key': `mine-1${process.pid}` }
    }
    const [one, two] = [await latchkey.createProject(request), await latchkey.createProject(request)]
    t.equal(one.id, two.id)
    const other = latchkey.createProject({ ...request, body: { name: 'another' } })
    t.equal((await thrown(t, sdk.LatchkeyError, other)).code, 'idempotency-key-reused')
  })

  t.test('what cannot be sent twice is not', async (t) => {
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
    await t.rejects(reveal(), 'a hand-out may have happened')
    t.equal(times(), 1)
    proxy.next({ status: 503, headers: { 'retry-after': '0' } })
    t.equal((await reveal()).id, id)
    t.equal(times(), 3, 'but the service says when it has not')
  })

  t.test('what somebody else wrote meanwhile is not overwritten', async (t) => {
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
    t.equal(times(), 2, 'the service says that it has not done it')
    proxy.passed.length = 0
    proxy.next('lost')
    await latchkey.putUsage({ path: { id: credential, consumer: 'workflow:42' } })
    t.equal(times(), 2, 'a usage holds nothing that could be overwritten')
  })

  t.test('refusals are final', async (t) => {
    await t.rejects(latchkey.createProject({ body: { name: '' } }))
    t.equal(times(), 1)
    proxy.next({ status: 500 })
    t.equal((await thrown(t, sdk.LatchkeyError, latchkey.getSession())).attempts, 1)
    t.equal(times(), 2)
  })

  t.test(
    'an update at a revision whose answer was lost is 412, and says that it was sent twice',
    async (t) => {
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
    }
  )

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

  t.test('attempts are bounded by number and by time', async (t) => {
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

  t.test('delays differ, and the bound of them doubles', async (t) => {
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
    t.ok(took[0]! >= 590, `${took}: 200 and 400 ms at the most`)
    // The shortest: a busy machine holds up one now and then.
    t.ok(Math.min(...took) < 400, `${took}: none at the least`)
  })

  t.test('the caller ends it at once, under way and between attempts', async (t) => {
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
