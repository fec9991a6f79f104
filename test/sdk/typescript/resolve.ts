import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { newProject, newType, uniqueName } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'
import { PACKAGE, thrown, type World } from './world.ts'

export async function resolve(t: Test, world: World) {
  const { sdk, proxy, project, ann, service, tokens } = world
  const runner = (options: object = {}) => world.client({ token: tokens.runner, ...options })
  const asked = () => proxy.passed.filter(({ url }) => url.endsWith('/resolve')).length
  const change = (id: string, password: string) =>
    ann.put(`/api/v1/app-credentials/${id}`, {
      keys: [{ fieldId: world.type.field.password, keyValue: password }]
    })
  t.beforeEach(() => {
    proxy.passed.length = 0
  })

  t.test('values are resolved by id or by name, in the requested environment', async (t) => {
    const made = await world.newCredential()
    const field = world.type.field
    await ann.put(`/api/v1/app-credentials/${made.id}/environments/staging`, {
      keys: [
        { fieldId: field.host, keyValue: 'staging.example.org' },
        { fieldId: field.password, keyValue: 'hunter3 hunter3' }
      ]
    })
    const { id, credentialName, typeName, environment, revision, expiresAt, values } = await runner().resolve(
      project,
      {
        name: made.credentialName.toUpperCase()
      }
    )
    t.match(
      { id, credentialName, environment, revision, expiresAt },
      { id: made.id, credentialName: made.credentialName, environment: 'main', revision: 2, expiresAt: null }
    )
    t.type(typeName, 'string')
    t.same(values, { host: 'mail.example.org', password: 'hunter2 hunter2' })
    const staging = await runner().resolve(project, { id: made.id }, { environment: 'staging' })
    t.same(staging.values, { host: 'staging.example.org', password: 'hunter3 hunter3' })
  })

  t.test('numbers that a double cannot represent are rounded, or returned as text or BigInt', async (t) => {
    const type = await newType(ann, [{ fieldName: 'data', fieldLabel: 'Data', fieldType: 'json' }])
    const json =
      '{"id":9007199254740993,"all":[18446744073709551615,-9007199254740993,1.00,0.10,1e2,-0,' +
      '9007199254740991,0.1234567890123456789,1e400,1e-400,100000000000000000000000]}'
    const made = await ann.post('/api/v1/app-credentials', undefined, {
      headers: { 'content-type': 'application/json' },
      raw:
        `{"credentialName":"${uniqueName('numbers')}","credentialTypeId":"${type.id}",` +
        `"projectIds":["${project}"],"keys":[{"fieldId":"${type.field['data']}","keyValue":${json}}]}`
    })
    const get = async (options: object) =>
      (await runner(options).resolve(project, { id: made.json.id })).values['data']
    t.same(await get({}), JSON.parse(json))
    const held = [1, 0.1, 100, -0, 9007199254740991]
    const others = ['0.1234567890123456789', '1e400', '1e-400']
    t.strictSame(await get({ exactNumbers: 'string' }), {
      id: '9007199254740993',
      all: ['18446744073709551615', '-9007199254740993', ...held, ...others, 1e23]
    })
    t.strictSame(await get({ exactNumbers: 'bigint' }), {
      id: 9007199254740993n,
      all: [18446744073709551615n, -9007199254740993n, ...held, ...others, 1e23]
    })
    t.throws(() => runner({ exactNumbers: 'double' }), { name: 'TypeError' })
  })

  t.test('a failure is an error with its code, and is not cached', async (t) => {
    const latchkey = runner({ keepSeconds: 60 })
    const name = uniqueName('later')
    const error = await thrown(t, sdk.LatchkeyResolveError, latchkey.resolve(project, { name }))
    t.match(error, { code: 'not-found', message: 'The project has no such credential. (not-found)' })
    proxy.next({ status: 500 })
    await thrown(t, sdk.LatchkeyError, latchkey.resolve(project, { name }))
    await world.newCredential({ credentialName: name })
    t.ok((await latchkey.resolve(project, { name })).values)
  })

  t.test('values are not cached by default', async (t) => {
    const { id } = await world.newCredential()
    const latchkey = runner()
    await latchkey.resolve(project, { id })
    await latchkey.resolve(project, { id })
    t.equal(asked(), 2)
  })

  t.test('values are cached for keepSeconds, and the audit log has one event', async (t) => {
    const { id } = await world.newCredential()
    const latchkey = runner({ keepSeconds: 3 })
    const one = await latchkey.resolve(project, { id })
    one.values.password = 'changed here'
    t.equal(
      (await latchkey.resolve(project, { id })).values.password,
      'hunter2 hunter2',
      'each caller gets a copy'
    )
    t.equal(asked(), 1)
    const events = await ann.get(`/api/v1/audit-events?credentialId=${id}&action=credential.resolved`)
    t.equal(events.json.data.length, 1)
    await new Promise((resolve) => setTimeout(resolve, 3050))
    await latchkey.resolve(project, { id })
    t.equal(asked(), 2)
  })

  t.test('changing the system clock does not extend the cache time', async (t) => {
    const { id } = await world.newCredential()
    const latchkey = runner({ keepSeconds: 3 })
    await latchkey.resolve(project, { id })
    const { now } = Date
    t.teardown(() => {
      Date.now = now
    })
    Date.now = () => now() - 3_600_000
    await latchkey.resolve(project, { id })
    t.equal(asked(), 1)
    await new Promise((resolve) => setTimeout(resolve, 3050))
    await latchkey.resolve(project, { id })
    t.equal(asked(), 2)
  })

  t.test('expired values are removed from memory without further calls', async (t) => {
    const { id } = await world.newCredential()
    const expiresAt = new Date(Date.now() + 3000).toISOString()
    const expiring = await world.newCredential({ expiresAt })
    const latchkey = runner({ keepSeconds: 0.4 })
    await latchkey.resolve(project, { id })
    const longer = runner({ keepSeconds: 60 })
    await longer.resolve(project, { id })
    await longer.resolve(project, { id: expiring.id })
    const [{ now }, { now: today }] = [performance, Date]
    const [before, day] = [performance.now(), Date.now()]
    await new Promise((resolve) => setTimeout(resolve, 3100))
    t.teardown(() => {
      performance.now = now
      Date.now = today
    })
    // Clocks from before: values that are still in memory would now be returned.
    performance.now = () => before
    Date.now = () => day
    proxy.passed.length = 0
    await latchkey.resolve(project, { id })
    t.equal(asked(), 1)
    await thrown(t, sdk.LatchkeyResolveError, longer.resolve(project, { id: expiring.id }))
    t.equal(asked(), 2)
    await longer.resolve(project, { id })
    t.equal(asked(), 2, 'values that have not expired are still cached')
  })

  t.test('cached values do not keep a program running', async (t) => {
    const { id } = await world.newCredential()
    const program = `
      import { createClient } from ${JSON.stringify(join(PACKAGE, 'dist/index.js'))}
      const [baseUrl, token, project, id] = process.argv.slice(-4)
      const { values } = await createClient({ baseUrl, token, keepSeconds: 300 }).resolve(project, { id })
      process.stdout.write(values.password)`
    const args = ['--input-type=module', '--eval', program, '--', proxy.origin, tokens.runner, project, id]
    const ended = await promisify(execFile)(process.execPath, args, { timeout: 30_000 })
    t.equal(ended.stdout, 'hunter2 hunter2')
  })

  t.test('tokens do not share cached values or requests', async (t) => {
    const { id } = await world.newCredential()
    const other = await newToken(ann, ['credentials:resolve'], { projectId: await newProject(ann) })
    for (const keepSeconds of [0, 60]) {
      let token = tokens.runner
      const latchkey = runner({ token: () => token, keepSeconds })
      await latchkey.resolve(project, { id })
      token = other.bearer!
      await thrown(t, sdk.LatchkeyError, latchkey.resolve(project, { id }))
      // Concurrently, each call with another token.
      proxy.passed.length = 0
      const turns = [tokens.runner, other.bearer!]
      const both = runner({ token: () => turns.shift()!, keepSeconds })
      const [mine, others] = await Promise.allSettled([1, 2].map(() => both.resolve(project, { id })))
      t.equal(mine!.status, 'fulfilled')
      t.equal(others!.status, 'rejected')
      t.same(
        proxy.passed.map(({ headers }) => headers.authorization).sort(),
        [`Bearer ${tokens.runner}`, `Bearer ${other.bearer}`].sort(),
        'each request has its own token'
      )
    }
  })

  t.test('values are not cached beyond the expiry of the credential', async (t) => {
    const expiresAt = new Date(Date.now() + 3000).toISOString()
    const { id } = await world.newCredential({ expiresAt })
    const latchkey = runner({ keepSeconds: 60 })
    await latchkey.resolve(project, { id })
    await new Promise((resolve) => setTimeout(resolve, 3050))
    t.equal((await thrown(t, sdk.LatchkeyResolveError, latchkey.resolve(project, { id }))).code, 'expired')
  })

  t.test('projects, environments and names are cached separately', async (t) => {
    const { id, credentialName: name } = await world.newCredential()
    const latchkey = runner({ keepSeconds: 60 })
    await latchkey.resolve(project, { id })
    await latchkey.resolve(project, { id: id.toUpperCase() })
    t.equal(asked(), 1, 'the case of an id does not matter')
    await latchkey.resolve(project, { name })
    await thrown(t, sdk.LatchkeyResolveError, latchkey.resolve(project, { id }, { environment: 'staging' }))
    await thrown(t, sdk.LatchkeyError, latchkey.resolve(await newProject(ann), { id }))
    t.equal(asked(), 4)
  })

  t.test('seeing a newer revision removes cached values', async (t) => {
    const { id, credentialName: name } = await world.newCredential()
    const spellings = [name.toUpperCase(), name]
    const ways: Record<string, (latchkey: ReturnType<typeof runner>) => Promise<unknown>> = {
      'by a list': (latchkey) => latchkey.listCredentialsByProject({ path: { projectId: project } }),
      'by another spelling': (latchkey) => latchkey.resolve(project, { name: spellings.pop()! }),
      'by several at once': (latchkey) =>
        latchkey.resolveCredentials({
          path: { id: project },
          body: { credentials: [{ name }, { name: 'none' }] }
        })
    }
    for (const [way, see] of Object.entries(ways)) {
      const latchkey = runner({ keepSeconds: 60 })
      await latchkey.resolve(project, { id })
      await see(latchkey)
      proxy.passed.length = 0
      await latchkey.resolve(project, { id })
      t.equal(asked(), 0, `${way}: still cached at the same revision`)
      await change(id, `new ${way}`)
      await see(latchkey)
      t.equal((await latchkey.resolve(project, { id })).values.password, `new ${way}`, way)
    }
  })

  t.test('a response older than a revision seen meanwhile is requested again', async (t) => {
    const { id } = await world.newCredential()
    const latchkey = runner({ keepSeconds: 60 })
    const stale = JSON.stringify(
      await latchkey.resolveCredentials({ path: { id: project }, body: { credentials: [{ id }] } })
    )
    await change(id, 'the new one')
    await latchkey.listCredentialsByProject({ path: { projectId: project } })
    proxy.next({ status: 200, headers: { 'content-type': 'application/json' }, body: stale })
    t.equal((await latchkey.resolve(project, { id })).values.password, 'the new one')
  })

  t.test('a response that contradicts itself is requested again only once', async (t) => {
    const { id } = await world.newCredential()
    const latchkey = runner({ keepSeconds: 60 })
    const { results } = await latchkey.resolveCredentials({
      path: { id: project },
      body: { credentials: [{ id }] }
    })
    const [one] = results
    const body = JSON.stringify({ results: [one, { ...one, revision: 9 }] })
    const fault = { status: 200, headers: { 'content-type': 'application/json' }, body }
    proxy.passed.length = 0
    proxy.next(fault, fault, fault)
    t.ok((await latchkey.resolve(project, { id })).values)
    t.equal(asked(), 2)
    proxy.calm()
  })

  t.test('an environment may have the name of an operation', async (t) => {
    const { id } = await world.newCredential()
    const keys = Object.values(world.type.field).map((fieldId) => ({ fieldId, keyValue: 'x' }))
    let token = tokens.runner
    const latchkey = runner({ token: () => token, keepSeconds: 60 })
    for (const environment of ['resolve', 'reveal']) {
      await ann.put(`/api/v1/app-credentials/${id}/environments/${environment}`, { keys })
      token = tokens.runner
      await latchkey.resolve(project, { id }, { environment })
      token = tokens.personal
      await latchkey.deleteEnvironment({ path: { id, environment } })
      token = tokens.runner
      const gone = latchkey.resolve(project, { id }, { environment })
      t.equal((await thrown(t, sdk.LatchkeyResolveError, gone)).code, 'environment-not-configured')
    }
  })

  t.test('a change by the client removes cached values, also from requests in flight', async (t) => {
    const { id } = await world.newCredential()
    const latchkey = runner({ keepSeconds: 60 })
    await latchkey.resolve(project, { id })
    await latchkey.putUsage({ path: { id, consumer: 'workflow:42' } })
    await latchkey.resolve(project, { id })
    t.equal(asked(), 1, 'usages do not change values')
    await t.rejects(
      latchkey.updateAppCredential({ path: { id }, body: {} }),
      'the change is refused, but removes cached values'
    )
    await latchkey.resolve(project, { id })
    t.equal(asked(), 2)
    latchkey.forget()
    proxy.before = () => {
      latchkey.forget()
    }
    t.teardown(() => {
      proxy.before = () => {}
    })
    await latchkey.resolve(project, { id })
    await latchkey.resolve(project, { id })
    t.equal(asked(), 4, 'requests in flight at forget() are not cached')
  })

  t.test('a 401 removes all cached values', async (t) => {
    const type = await newType(ann)
    const own = await newProject(ann)
    const made = await newToken(ann, ['credentials:resolve', 'credentials:read'], { projectId: own })
    const { id } = (
      await ann.post('/api/v1/app-credentials', {
        credentialName: uniqueName('credential'),
        credentialTypeId: type.id,
        keys: [
          { fieldId: type.field.host, keyValue: 'x' },
          { fieldId: type.field.password, keyValue: 'y' }
        ],
        projectIds: [own]
      })
    ).json
    const latchkey = world.client({ token: made.bearer!, keepSeconds: 60 })
    await latchkey.resolve(own, { id })
    const [token] = (await ann.get(`/api/v1/access-tokens?projectId=${own}`)).json.data
    await ann.delete(`/api/v1/access-tokens/${token.id}`)
    await latchkey.resolve(own, { id })
    await thrown(t, sdk.LatchkeyError, latchkey.listCredentialsByProject({ path: { projectId: own } }))
    t.equal((await thrown(t, sdk.LatchkeyError, latchkey.resolve(own, { id }))).status, 401)
  })

  t.test('the number of cached credentials is limited', async (t) => {
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.push((await world.newCredential()).id)
    const latchkey = runner({ keepSeconds: 60, keepMost: 2 })
    for (const id of [...ids, ...ids.slice(1)]) await latchkey.resolve(project, { id })
    t.equal(asked(), 3)
    await latchkey.resolve(project, { id: ids[0]! })
    t.equal(asked(), 4, 'the oldest one was removed')
  })

  t.test('concurrent calls for the same credential share one request', async (t) => {
    const { id } = await world.newCredential()
    const latchkey = runner()
    const all = await Promise.all(Array.from({ length: 20 }, () => latchkey.resolve(project, { id })))
    t.equal(asked(), 1)
    t.equal(new Set(all.map(({ values }) => values)).size, 20)
    proxy.next({ status: 500 })
    const failed = await Promise.allSettled([
      latchkey.resolve(project, { id }),
      latchkey.resolve(project, { id })
    ])
    t.ok(failed.every(({ status }) => status === 'rejected'))
    t.ok(await latchkey.resolve(project, { id }), 'later calls do not share an error')
  })

  t.test('aborting a call does not affect others, and the last one aborts the request', async (t) => {
    const { id } = await world.newCredential()
    const latchkey = runner({ retries: 0 })
    let ended = false
    proxy.before = () => new Promise((resolve) => setTimeout(resolve, 300))
    t.teardown(() => {
      proxy.before = () => {}
    })
    const [one, other] = [new AbortController(), new AbortController()]
    const left = latchkey.resolve(project, { id }, { signal: one.signal })
    const stayed = latchkey.resolve(project, { id })
    setTimeout(() => one.abort(new Error('gone')), 50)
    t.equal((await thrown(t, Error, left)).message, 'gone')
    t.ok((await stayed).values)
    t.equal(asked(), 1)
    const watching = sdk.createClient({
      baseUrl: proxy.origin,
      token: tokens.runner,
      fetch: (input, init) => {
        init?.signal?.addEventListener('abort', () => {
          ended = true
        })
        return fetch(input, init)
      }
    })
    const alone = watching.resolve(project, { id }, { signal: other.signal })
    setTimeout(() => other.abort(new Error('gone too')), 50)
    t.equal((await thrown(t, Error, alone)).message, 'gone too')
    t.ok(ended, 'the request is aborted if no call waits for it')
    proxy.before = () => {}
    t.ok((await watching.resolve(project, { id })).values, 'later calls do not join it')
    t.equal((await service.admin.get('/livez')).status, 200)
  })
}
