import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { newRootKey } from '../../src/root-keys/local.ts'
import { NO_LIMITS, startTestApp } from '../helpers/app.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { startProcess } from '../helpers/process.ts'
import { send } from '../helpers/raw-request.ts'

const service = await startTestApp(t)
const { origin, admin } = service

const linesOf = (requestId: string) =>
  service.log.map((line) => JSON.parse(line)).filter((line) => line.requestId === requestId)
const requestLineOf = (requestId: string) => linesOf(requestId).filter((line) => line.msg === 'request')

t.test('each request has one line, with its route, status, duration and principal', async (t) => {
  const ann = await service.newUser()
  const cases: [string, string, object, number, string, string | undefined][] = [
    ['GET', '/api/v1/session', { cookie: ann.cookie! }, 200, '/api/v1/session', ann.person.id],
    [
      'GET',
      `/api/v1/projects/${randomUUID()}`,
      { cookie: ann.cookie! },
      404,
      '/api/v1/projects/:id',
      ann.person.id
    ],
    ['GET', '/api/v1/users?page=1', { cookie: ann.cookie! }, 403, '/api/v1/users', ann.person.id],
    ['GET', '/api/v1/session', {}, 401, '/api/v1/session', undefined],
    ['POST', '/api/v1/session', {}, 400, '/api/v1/session', undefined],
    [
      'POST',
      '/api/v1/session',
      { 'content-type': 'application/json', 'content-encoding': 'gzip', 'content-length': 0 },
      415,
      '/api/v1/session',
      undefined
    ],
    ['GET', '/nothing/at/all', {}, 404, 'unknown', undefined],
    ['TRACE', '/api/v1/session', {}, 405, 'unknown', undefined],
    ['GET', '/api/v1/projects/%ff', {}, 400, 'unknown', undefined]
  ]
  for (const [method, path, headers, status, route, principal] of cases) {
    const requestId = randomUUID()
    await send(origin, path, { method, headers: { ...headers, 'x-request-id': requestId } })
    const name = `${method} ${path} ${status}`
    const lines = requestLineOf(requestId)
    t.equal(lines.length, 1, `${name}: one line`)
    const { time, durationMs, ...rest } = lines[0]
    t.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    t.ok(durationMs >= 0 && durationMs < 10_000)
    const expected = { level: 'info', requestId, method, route, status, msg: 'request' }
    t.same(rest, principal ? { ...expected, principal } : expected, `${name}: exactly these properties`)
  }
})

t.test('no line contains a cookie, token, password, body, query string or header', async (t) => {
  const ann = await service.newUser()
  const canary = `canary${randomUUID().slice(0, 8)}`
  const headers = {
    authorization: `Bearer ${canary}`,
    cookie: `latchkey_session=${canary}; other=${canary}`,
    'user-agent': canary,
    referer: `https://${canary}.example`,
    'x-anything': canary,
    'idempotency-key': canary,
    'if-match': canary
  }
  const body = JSON.stringify({
    email: `${canary}@example.org`,
    password: canary,
    [canary]: canary,
    name: canary
  })
  const json = { 'content-type': 'application/json' }
  for (const path of ['/api/v1/session', '/api/v1/users', `/api/v1/${canary}`, '/api/v1/users/me/password']) {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
      const withBody = method === 'GET' ? {} : { body }
      for (const more of [headers, { cookie: ann.cookie!, ...json }, { cookie: admin.cookie!, ...json }]) {
        await send(origin, `${path}?search=${canary}`, { method, headers: more, ...withBody })
      }
    }
  }
  await service.anonymous().signIn({ email: `${canary}@example.org`, password: canary })
  const all = service.log.join('')
  t.ok(service.log.length > 50)
  const traces = [
    canary,
    Buffer.from(canary).toString('base64').slice(0, -4),
    Buffer.from(canary).toString('hex'),
    ann.cookie!.split('=')[1]!,
    admin.cookie!.split('=')[1]!,
    admin.person.password,
    ann.person.email
  ]
  for (const trace of traces) t.notMatch(all, trace, trace.slice(0, 8))
})

t.test('input with line breaks does not split a line', async (t) => {
  const forged = 'x\r\n{"level":"fatal","msg":"forged"}'
  for (const client of [admin, service.anonymous()]) {
    await client.post('/api/v1/users', { email: `a${forged}@b.cd`, name: forged, password: forged })
    await client.post('/api/v1/projects', { name: forged })
    await client.get(`/api/v1/credential-types?search=${encodeURIComponent(forged)}`)
    await client.get(`/api/v1/projects/${encodeURIComponent(forged)}`)
    await client.get(`/api/v1/${encodeURIComponent(forged)}`)
    await client.request('POST', '/api/v1/session', { email: `${forged}@example.org`, password: forged })
  }
  for (const line of service.log) {
    t.equal(line.indexOf('\n'), line.length - 1)
    const { level, msg } = JSON.parse(line)
    t.ok(level !== 'fatal' && msg !== 'forged')
  }
})

t.test('secrets that are passed to the log by mistake are redacted', async (t) => {
  const before = service.log.length
  const secret = 'canary-99cc'
  service.app.log.warn(
    {
      headers: { cookie: secret },
      body: { keyValue: secret },
      request: { headers: { authorization: secret }, body: secret },
      cookie: secret,
      authorization: secret,
      user: { password: secret },
      key: { keyValue: secret },
      answer: { token: secret },
      req: { method: 'GET', url: `/?token=${secret}`, headers: { cookie: secret } },
      res: { statusCode: 200, headers: { 'set-cookie': secret } }
    },
    'by mistake'
  )
  t.equal(service.log.length, before + 1)
  t.notMatch(service.log.at(-1), secret)
})

t.test('standard output has every line when the process exits', async (t) => {
  const module = join(import.meta.dirname, '../../src/http/request-log.ts')
  const script = `import { standardOutput } from ${JSON.stringify(module)}
    const log = standardOutput()
    for (let i = 0; i < 100; i++) log.write('line ' + i + '\\n')
    process.exit(0)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  t.equal(stdout, Array.from({ length: 100 }, (_, i) => `line ${i}\n`).join(''))
})

t.test('a stalled reader of standard output stops neither the service nor its exit', async (t) => {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const { child, printed, exited, output } = startProcess(t, t.testdir(), {
    DATABASE_URL: database.url,
    LATCHKEY_ROOT_KEYS: newRootKey('test'),
    LATCHKEY_ADMIN_EMAIL: 'admin@example.org',
    LATCHKEY_ADMIN_PASSWORD: 'correct horse battery',
    ...NO_LIMITS
  })
  const [, url] = await printed(/listens on (http:\S+)/)
  child.stdout!.pause()
  // About 700 KiB of lines, more than the pipe and the buffers of the reader hold.
  for (let i = 0; i < 300; i++) {
    const statuses = Array.from({ length: 10 }, async () => (await fetch(`${url}/api/v1/session`)).status)
    t.same(new Set(await Promise.all(statuses)), new Set([401]))
  }
  const ended = new Promise((resolve) => child.on('exit', resolve))
  child.kill('SIGINT')
  const late = new Promise((resolve) => setTimeout(resolve, 20_000, 'still runs').unref())
  t.equal(await Promise.race([ended, late]), 0)
  child.stdout!.resume()
  await exited
  t.ok(output().length < 600_000, 'the reader stalled')
})
