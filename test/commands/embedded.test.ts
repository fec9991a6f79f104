import { chmod, mkdir, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startEmbedded } from '../../src/embedded/postgres.ts'
import { runCli } from '../helpers/cli.ts'
import { newDirectory, signIn, startEmbeddedService } from '../helpers/embedded-service.ts'
import { eventually } from '../helpers/eventually.ts'
import { startProcess } from '../helpers/process.ts'

// Starts many processes in sequence.
t.setTimeout(300_000)

const cli = join(import.meta.dirname, '../../src/cli.ts')
const EMAIL = 'admin@latchkey.local'
const NEEDING_DATABASE = [
  ['migrate'],
  ['users', 'list'],
  ['users', 'create', 'ann@example.org'],
  ['users', 'reset-password', 'ann@example.org'],
  ['users', 'disable', 'ann@example.org'],
  ['users', 'enable', 'ann@example.org'],
  ['audit', 'verify'],
  ['audit', 'export'],
  ['keys', 'status'],
  ['keys', 'rotate'],
  ['keys', 'destroy', '1']
]
const commandsIn = (cwd: string) => (line: string, input?: string) =>
  runCli({}, line.split(' '), { cwd, ...(input !== undefined && { input }) })
/** Returns the command lines of the Postgres servers that use the directory. */
async function postmastersOf(cwd: string): Promise<string[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return lines.filter((line) => line.includes(`-D\0${cwd}`))
}

t.test('in a folder without a database, a command fails and creates nothing', async (t) => {
  const cwd = await newDirectory(t)
  for (const words of NEEDING_DATABASE) {
    const { code, out, err } = await runCli({}, words, { cwd })
    t.same([code, out], [1, ''], words.join(' '))
    t.match(err, `latchkey: LATCHKEY_DATA_DIR contains no database (${cwd}/data): run it in the folder`)
    t.equal(err.trim().split('\n').length, 1)
  }
  t.same(await readdir(cwd), [])
  const file = await runCli({ LATCHKEY_DATA_DIR: '/dev/null' }, ['keys', 'status'], { cwd })
  t.match(file, { code: 1, err: /contains no database/ })
})

t.test('commands work while the service runs, and while it does not', async (t) => {
  const cwd = await newDirectory(t)
  const latchkey = commandsIn(cwd)
  const service = await startEmbeddedService(t, cwd)
  const kept = (await readFile(join(cwd, 'data/admin.password'), 'utf8')).trim()
  t.equal(service.administrator, `${EMAIL}, password ${kept}`)

  t.test('commands use the Postgres of the running service', async (t) => {
    const before = await readdir(join(cwd, 'data'))
    t.match(await latchkey('keys status'), { code: 0, err: '', out: /^1 +current/m })
    t.match(await latchkey('keys rotate'), { code: 0, out: /^Data key 2 is current/ })
    t.match(await latchkey('audit verify'), { code: 0, out: /events are intact/ })
    t.match(await latchkey('audit export'), { code: 0, out: /"data-key.created"/ })
    t.match(await latchkey('migrate'), { code: 0, out: 'No pending migrations.\n' })
    t.match(await latchkey('users create ann@example.org'), { code: 0, err: '' })
    t.same(await readdir(join(cwd, 'data')), before, 'they leave no files')
    t.equal((await postmastersOf(cwd)).length, 1)
    t.equal((await signIn(service.origin, EMAIL, kept)).status, 200, 'the service still runs')
  })

  t.test("resetting another user's password keeps the file with the administrator's", async (t) => {
    t.match(await latchkey('users reset-password ann@example.org'), { code: 0 })
    t.ok((await readdir(join(cwd, 'data'))).includes('admin.password'))
  })

  t.test("resetting the administrator's password removes the file with the first one", async (t) => {
    const { cookie } = await signIn(service.origin, EMAIL, kept)
    const reset = await latchkey(`users reset-password ${EMAIL}`)
    const [, password = ''] = /^Password: (\S+)$/m.exec(reset.out) ?? []
    t.equal((await fetch(`${service.origin}/api/v1/session`, { headers: { cookie } })).status, 401)
    t.equal((await signIn(service.origin, EMAIL, kept)).status, 401)
    t.equal((await signIn(service.origin, EMAIL, password)).status, 200)
    t.notOk((await readdir(join(cwd, 'data'))).includes('admin.password'))
    await service.stop()
    const again = await startEmbeddedService(t, cwd)
    t.match(again.administrator, /^admin@latchkey\.local, with your own password \(if lost: npx latchkey/)
    t.notMatch(again.output(), kept)
    t.notMatch(again.output(), password)
    await again.stop()
  })

  t.test('without a running service, concurrent commands take turns and stop Postgres', async (t) => {
    const all = await Promise.all(
      Array.from({ length: 3 }, (_, index) => latchkey(`users create user-${index}@example.org`))
    )
    for (const { code, err } of all) t.same([code, err], [0, ''])
    t.equal((await latchkey('users list')).out.match(/user-\d@/g)?.length, 3)
    t.same(await postmastersOf(cwd), [])
    t.same(
      (await readdir(join(cwd, 'data'))).filter((name) => name.startsWith('postgres.lock')),
      []
    )
  })

  t.test('keys rotate does not create a root key', async (t) => {
    await rename(join(cwd, 'data/root.keys'), join(cwd, 'safe'))
    t.match(await latchkey('keys rotate'), { code: 1, err: /LATCHKEY_DATA_DIR contains no root\.keys/ })
    t.match(await latchkey('keys status'), { code: 0 })
    t.notOk((await readdir(join(cwd, 'data'))).includes('root.keys'))
    await rm(join(cwd, 'safe'))
  })
})

t.test('a signal to a command stops its Postgres', { skip: process.platform !== 'linux' }, async (t) => {
  const cwd = await newDirectory(t)
  await (await startEmbeddedService(t, cwd)).stop()
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129]
  ] as const) {
    const command = startProcess(t, cwd, {}, [cli, 'users', 'list'])
    await eventually(async () => (await postmastersOf(cwd)).length > 0, 'Postgres runs')
    command.child.kill(signal)
    t.equal(await command.exited, code, signal)
    await eventually(async () => (await postmastersOf(cwd)).length === 0, `it stops after ${signal}`)
  }
})

t.test('a command does not create a cluster', async (t) => {
  const cwd = await newDirectory(t)
  await t.rejects(startEmbedded({ directory: cwd, brief: true }), { message: /^there is no database in / })
  t.same(await postmastersOf(cwd), [])
  t.notOk((await readdir(cwd)).includes('postgres'))
})

t.test('a service waits for a command that uses its database', async (t) => {
  const cwd = await newDirectory(t)
  await (await startEmbeddedService(t, cwd)).stop()
  const directory = join(cwd, 'data')
  const command = await startEmbedded({ directory, brief: true })
  t.teardown(() => command.stop())
  const service = startProcess(t, cwd, { LOG_LEVEL: 'silent' })
  await service.printed('Waiting for a command that is using the database…')
  await command.stop()
  await service.printed(/listens on/)
  t.equal(service.output().match(/Waiting/g)?.length, 1)

  const second = startProcess(t, cwd, { LOG_LEVEL: 'silent' })
  t.equal(await second.exited, 1)
  t.match(second.output(), `in use by process ${service.child.pid}`, 'it does not wait for another service')
  t.notMatch(second.output(), 'Waiting')
})

t.test('a waiting command does not hold a lock', async (t) => {
  const cwd = await newDirectory(t)
  await (await startEmbeddedService(t, cwd)).stop()
  const directory = join(cwd, 'data')
  const holder = await startEmbedded({ directory, brief: true })
  t.teardown(() => holder.stop())
  const waiting = startProcess(t, cwd, {}, [cli, 'users', 'list'])
  const locks = new Set<string>()
  for (const end = Date.now() + 3_000; Date.now() < end; await sleep(1))
    for (const name of await readdir(directory)) if (name.startsWith('postgres.lock-')) locks.add(name)
  t.equal(locks.size, 1, 'only the holder has a lock file')
  await holder.stop()
  t.equal(await waiting.exited, 0)
})

t.test('commands find a running service whose socket is in another directory', async (t) => {
  const cwd = join(await newDirectory(t), 'long'.repeat(20), 'way'.repeat(20))
  await mkdir(cwd, { recursive: true })
  const service = await startEmbeddedService(t, cwd)
  t.match(await commandsIn(cwd)('keys status'), { code: 0, err: '', out: /^1 +current/m })
  t.match(await commandsIn(cwd)('users list'), { code: 0, out: EMAIL })
  await service.stop()
})

t.test(
  'as root, commands use a database in another directory',
  { skip: process.getuid?.() !== 0 && 'needs root' },
  async (t) => {
    const cwd = await newDirectory(t)
    await chmod(cwd, 0o700)
    const service = await startEmbeddedService(t, cwd)
    const home = (await readFile(join(cwd, 'data/postgres.location'), 'utf8')).trim()
    t.teardown(() => rm(home, { recursive: true }))
    t.match(service.output(), `The database is stored in ${home}: `)
    t.match(service.output(), `Creating the database in ${home}; `)
    t.match(await commandsIn(cwd)('users list'), { code: 0, err: '', out: EMAIL })
    await service.stop()
    t.match(await commandsIn(cwd)('users list'), { code: 0, err: '', out: EMAIL })
    const refused = async () => {
      const started = startProcess(t, cwd, {})
      t.equal(await started.exited, 1)
      return started.output()
    }
    const record = join(cwd, 'data/postgres.location')
    const empty = `latchkey: ${record} is empty: write the path of the database's directory to it\n`
    await writeFile(record, '')
    t.same(await commandsIn(cwd)('users list'), { code: 1, out: '', err: empty })
    t.equal(await refused(), empty)
    await writeFile(record, home)
    await unlink(join(cwd, 'data/root.keys'))
    const lost = /a database but no root\.keys: restore your copy .* has the fingerprint \w{16}$/m
    t.match(await refused(), lost)
    await rm(join(cwd, 'data'), { recursive: true })
    t.match(await refused(), lost, 'the whole data directory is lost')
    t.notOk((await readdir(join(cwd, 'data'))).includes('root.keys'))
    t.match(await commandsIn(cwd)('users list'), { code: 0, err: '', out: EMAIL })
  }
)
