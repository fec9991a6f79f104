import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { newRootKey } from '../src/root-keys/local.ts'
import { createTestDatabase } from './helpers/database.ts'
import { startProcess } from './helpers/process.ts'

async function newDirectory(t: Test) {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-start-'))
  // Under root, Postgres runs as another user, who must reach the directory.
  await chmod(directory, 0o755)
  t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  return directory
}

const json = { 'content-type': 'application/json' }

async function signIn(origin: string, email: string, password: string) {
  const answer = await fetch(`${origin}/api/v1/session`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ email, password })
  })
  return { status: answer.status, cookie: answer.headers.get('set-cookie')?.split(';')[0] ?? '' }
}

t.test('the embedded default starts without configuration, and a second start keeps all data', async (t) => {
  const cwd = await newDirectory(t)
  const first = startProcess(t, cwd, {})
  const [, origin] = await first.printed(/listens on (http:\S+)/)
  const [, docs] = await first.printed(/Swagger UI: (http:\S+)/)
  const [, email, password] = await first.printed(/Administrator: (\S+), password (\S+)/)
  t.equal((await fetch(docs!)).status, 200)
  t.equal((await fetch(`${origin}/readyz`)).status, 200)
  const { status, cookie } = await signIn(origin!, email!, password!)
  t.equal(status, 200)
  const made = await fetch(`${origin}/api/v1/projects`, {
    method: 'POST',
    headers: { ...json, cookie },
    body: JSON.stringify({ name: 'Kept' })
  })
  t.equal(made.status, 201)
  for (const file of ['root.keys', 'admin.password']) {
    t.equal((await stat(join(cwd, 'data', file))).mode & 0o777, 0o600, `${file} is private`)
  }
  const key = (await readFile(join(cwd, 'data/root.keys'), 'utf8')).split(':')[1]!.trim()
  t.notOk(first.output().includes(key), 'the root key is not printed')

  const second = startProcess(t, cwd, {})
  t.equal(await second.exited, 1, 'a second one on the same directory is refused')
  t.match(second.output(), /^latchkey: .*in use/m)

  first.child.kill('SIGTERM')
  t.equal(await first.exited, 0, first.output())
  const third = startProcess(t, cwd, {})
  const [, again] = await third.printed(/listens on (http:\S+)/)
  t.equal((await third.printed(/password (\S+)/))[1], password)
  const projects = await fetch(`${again}/api/v1/projects`, { headers: { cookie } })
  t.match(await projects.json(), { total: 1, data: [{ name: 'Kept' }] }, 'sessions and data are kept')
  third.child.kill('SIGINT')
  t.equal(await third.exited, 0)

  await chmod(join(cwd, 'data/root.keys'), 0o644)
  const open = startProcess(t, cwd, {})
  t.equal(await open.exited, 1)
  t.match(open.output(), /^latchkey: LATCHKEY_DATA_DIR .*chmod 600/)
  t.notOk(open.output().includes(key))
})

t.test('with DATABASE_URL', async (t) => {
  const cwd = await newDirectory(t)
  const database = await createTestDatabase({ empty: true })
  t.teardown(database.drop)
  const rootKeys = newRootKey('one')
  const admin = { LATCHKEY_ADMIN_EMAIL: 'root@example.org', LATCHKEY_ADMIN_PASSWORD: 'a long enough one' }
  const base = { DATABASE_URL: database.url }
  const fails = async (env: Record<string, string>, message: RegExp) => {
    const failed = startProcess(t, cwd, env)
    t.equal(await failed.exited, 1)
    t.match(failed.output(), message)
    t.equal(failed.output().trim().split('\n').length, 1, 'one line')
  }

  t.test('a root key is needed, and on an empty database an administrator', async (t) => {
    t.comment(cwd)
    await fails(base, /^latchkey: LATCHKEY_ROOT_KEYS is needed/)
    await fails({ ...base, LATCHKEY_ROOT_KEYS: rootKeys }, /^latchkey: LATCHKEY_ADMIN_EMAIL is needed/)
  })

  t.test('two replicas start at the same time, and SIGTERM waits for requests in progress', async () => {
    const env = { ...base, ...admin, LATCHKEY_ROOT_KEYS: rootKeys }
    const replicas = [startProcess(t, cwd, env), startProcess(t, cwd, env)]
    const [one, two] = await Promise.all(
      replicas.map(async (replica) => (await replica.printed(/listens on (http:\S+)/))[1]!)
    )
    const { status, cookie } = await signIn(one!, 'ROOT@example.org', 'a long enough one')
    t.equal(status, 200)
    t.equal(
      (await fetch(`${two}/api/v1/session`, { headers: { cookie } })).status,
      200,
      'both accept the session'
    )
    t.notMatch(replicas[0]!.output(), 'a long enough one', 'a given password is not printed')

    const stopping = replicas[0]!
    const slow = signIn(one!, 'root@example.org', 'a long enough one')
    stopping.child.kill('SIGTERM')
    t.equal((await slow).status, 200, 'a request under way is answered')
    t.equal((await fetch(`${one}/readyz`)).status, 503, 'not ready while it stops')
    t.equal(await stopping.exited, 0)
    t.equal((await fetch(`${two}/readyz`)).status, 200)
    replicas[1]!.child.kill('SIGTERM')
    await replicas[1]!.exited
  })

  t.test('a start with another root key fails and writes nothing', async (t) => {
    const before = await database.db.selectFrom('data_keys').select(['number', 'wrapped']).execute()
    await fails(
      { ...base, ...admin, LATCHKEY_ROOT_KEYS: newRootKey('other') },
      /^latchkey: LATCHKEY_ROOT_KEYS .*needed [0-9a-f]{16}; given [0-9a-f]{16} \(other\)/
    )
    t.same(await database.db.selectFrom('data_keys').select(['number', 'wrapped']).execute(), before)
  })

  t.test('an invalid value is an error of one line that names its variable', async () => {
    await writeFile(join(cwd, 'canary'), '')
    await fails({ ...base, LATCHKEY_ROOT_KEYS: 'one:c2hvcnQ=' }, /^latchkey: LATCHKEY_ROOT_KEYS /)
    await fails({ PORT: '99999' }, /^latchkey: PORT has to be /)
  })
})

t.test('the service goes on if the reader of its log closes', async (t) => {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const running = startProcess(t, await newDirectory(t), {
    DATABASE_URL: database.url,
    LATCHKEY_ROOT_KEYS: newRootKey('test'),
    LATCHKEY_ADMIN_EMAIL: 'admin@example.org',
    LATCHKEY_ADMIN_PASSWORD: 'correct horse battery'
  })
  const [, origin] = await running.printed(/listens on (http:\S+)/)
  running.child.stdout!.destroy()
  for (let i = 0; i < 5; i++) {
    // This request writes a line to the log.
    t.equal((await fetch(`${origin}/api/v1/session`)).status, 401)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  t.equal(running.child.exitCode, null)
})
