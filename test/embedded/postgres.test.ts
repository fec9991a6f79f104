import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  access,
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  unlink,
  writeFile
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import pg from 'pg'
import t, { type Test } from 'tap'
import { findBinaries, findPackage } from '../../src/embedded/binaries.ts'
import { prepareDataDirectory } from '../../src/embedded/data-directory.ts'
import { resolveLocation } from '../../src/embedded/directory.ts'
import { ignoreMissing } from '../../src/embedded/files.ts'
import { type EmbeddedOptions, type EmbeddedPostgres, startEmbedded } from '../../src/embedded/postgres.ts'
import { identityOf } from '../../src/embedded/processes.ts'
import { eventually } from '../helpers/eventually.ts'

const isRoot = process.getuid?.() === 0
// The user that runs Postgres.
const server = isRoot ? { uid: 65534, gid: 65534 } : {}
const run = promisify(execFile)
const quiet = { durable: false }

const modeOf = async (path: string) => (await stat(path)).mode & 0o7777
const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false
  )
const postmasterOf = async (directory: string) =>
  Number.parseInt(await readFile(join(directory, 'postgres/postmaster.pid'), 'utf8'), 10)
const isAlive = async (pid: number) => (await identityOf(pid)) !== undefined

/** Returns the pids of the Postgres processes that use this directory. */
async function programsOf(directory: string): Promise<string[]> {
  const pids = await readdir('/proc').catch(() => [])
  const found = pids.map(async (pid) => {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    // initdb starts a shell for each step, with the program in quotes.
    return /\/(postgres|initdb)["\0]/.test(line) && line.includes(directory) ? [pid] : []
  })
  return (await Promise.all(found)).flat()
}

async function killPrograms(directory: string, signal: NodeJS.Signals): Promise<void> {
  for (const pid of await programsOf(directory)) {
    await ignoreMissing((async () => process.kill(Number(pid), signal))())
  }
}

/** Creates a directory. At the end of the test, kills the Postgres processes in it and removes it. */
async function makeDirectory(t: Test): Promise<string> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'latchkey-embedded-')))
  t.teardown(async () => {
    await killPrograms(directory, 'SIGQUIT')
    await eventually(async () => (await programsOf(directory)).length === 0, 'everything has ended')
    await rm(directory, { recursive: true, maxRetries: 5 })
  })
  return directory
}

const ready = await makeDirectory(t)
await (await startEmbedded({ directory: ready, ...quiet })).stop()

/** Creates such a directory with a cluster in it. */
async function makeReadyDirectory(t: Test): Promise<string> {
  const directory = await makeDirectory(t)
  await run('cp', ['-a', join(ready, 'postgres'), directory])
  return directory
}

async function start(t: Test, options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const started = await startEmbedded(options)
  t.teardown(() => started.stop())
  return started
}

async function query(started: EmbeddedPostgres, text: string, values: unknown[] = []) {
  const client = new pg.Client(started.connection)
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}

/** Starts a process that inserts numbers. `count` is the last one that Postgres acknowledged. */
function startChild(t: Test, directory: string): ChildProcess & { count: number } {
  const script = join(import.meta.dirname, '../fixtures/embedded-child.ts')
  const child = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const counting = Object.assign(child, { count: 0 })
  createInterface({ input: child.stdout }).on('line', (line) => {
    counting.count = Number(line)
  })
  return counting
}

async function kill(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close')
  child.kill('SIGKILL')
  await closed
}

t.test('the cluster is created once and kept, for this user only', async (t) => {
  const directory = join(await makeDirectory(t), 'data')
  // If root starts Postgres, it runs as another user, who needs access to the directory.
  await chmod(dirname(directory), 0o755)
  const first = await start(t, { directory })
  const [row] = await query(
    first,
    `select lower('ÄÖÉ') as letters, current_setting('fsync') as fsync, current_setting('TimeZone') as zone,
      current_setting('listen_addresses') as addresses, current_setting('server_encoding') as encoding`
  )
  t.same(row, { letters: 'äöé', fsync: 'on', zone: 'UTC', addresses: '', encoding: 'UTF8' })
  await query(first, 'create table kept (word text primary key)')
  await query(first, 'insert into kept values ($1)', ['here'])

  const cluster = join(directory, 'postgres')
  t.equal(first.connection.host, cluster)
  t.equal(await modeOf(cluster), 0o700)
  t.equal(await modeOf(join(cluster, '.s.PGSQL.5432')), 0o700)
  t.equal((await stat(cluster)).uid, server.uid ?? process.getuid?.())
  t.equal(await modeOf(directory), isRoot ? 0o710 : 0o700)
  const log = join(directory, 'postgres.log')
  t.equal(await modeOf(log), 0o600)

  await t.rejects(query(first, 'insert into kept values ($1)', ['here']), { code: '23505' })
  await t.rejects(query(first, 'select $1::uuid', ['here']), { code: '22P02' })
  t.notMatch(await readFile(log, 'utf8'), /here|kept/, 'the log holds no statement and no value')

  const pid = await postmasterOf(directory)
  if (process.platform === 'linux') {
    const group = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')[4]
    t.equal(Number(group), pid, 'Ctrl-C does not reach it')
  }
  await Promise.all([first.stop(), first.stop()])
  t.notOk(await isAlive(pid))
  const left = (await readdir(directory)).filter((name) => !name.startsWith('binaries-'))
  t.same(left.sort(), ['postgres', 'postgres.log'])

  const second = await start(t, { directory, maxConnections: 20 })
  t.same(await query(second, 'select word from kept'), [{ word: 'here' }])
  t.same(await query(second, 'show max_connections'), [{ max_connections: '20' }])
})

t.test('one process at a time can use the directory, and a kill loses no acknowledged row', async (t) => {
  const directory = await makeReadyDirectory(t)
  const child = startChild(t, directory)
  await eventually(() => child.count > 20, 'the child counts')
  const pid = await postmasterOf(directory)
  await t.rejects(startEmbedded({ directory }), { message: new RegExp(`in use by process ${child.pid}\\b`) })
  const before = child.count
  await eventually(() => child.count > before, 'the child counts on')

  await kill(child)
  t.ok(await isAlive(pid), 'a killed process leaves its server running')
  const notices: string[] = []
  const started = await start(t, { directory, ...quiet, notice: (line) => notices.push(line) })
  t.notOk(await isAlive(pid))
  t.match(notices, [new RegExp(`process ${pid}\\b`)])
  const [row] = await query(started, 'select count(*)::int as rows, max(number) from counted')
  t.equal(row.rows, row.max)
  t.ok(row.max >= child.count, `${row.max} rows of ${child.count} acknowledged`)
  await t.rejects(startEmbedded({ directory }), {
    message: new RegExp(`in use by process ${process.pid}\\b`)
  })
  t.same(await query(started, 'select 1 as one'), [{ one: 1 }])
})

t.test('an unexpected end of the server is reported, and the next start succeeds', async (t) => {
  const directory = await makeReadyDirectory(t)
  const ended: (number | null)[] = []
  const first = await start(t, { directory, onExit: (code) => ended.push(code) })
  await query(first, 'create table kept (word text)')
  process.kill(await postmasterOf(directory), 'SIGKILL')
  await eventually(() => ended.length > 0, 'the exit is reported')
  t.same(ended, [null])
  await first.stop()

  const second = await start(t, { directory, ...quiet, onExit: (code) => ended.push(code) })
  t.same(await query(second, 'select word from kept'), [])
  await second.stop()
  t.same(ended, [null], 'stop() is not reported')
})

t.test('a process with the pid of an earlier server is not signalled', async (t) => {
  const directory = await makeReadyDirectory(t)
  const stranger = spawn('sleep', ['60'], { ...server, cwd: '/', stdio: 'ignore' })
  t.teardown(() => stranger.kill())
  await once(stranger, 'spawn')
  const lines = [stranger.pid, join(directory, 'postgres'), '1', '5432', '', '', '', 'ready']
  await writeFile(join(directory, 'postgres/postmaster.pid'), `${lines.join('\n')}\n`)
  await start(t, { directory, ...quiet })
  t.ok((await isAlive(stranger.pid!)) && stranger.exitCode === null && stranger.signalCode === null)
})

t.test('a half-created cluster is created again', async (t) => {
  const directory = await makeDirectory(t)
  const child = startChild(t, directory)
  const half = async () => (await readdir(directory)).find((name) => name.startsWith('postgres.new-'))
  await eventually(async () => {
    const name = await half()
    return name !== undefined && (await isThere(join(directory, name, 'global')))
  }, 'initdb is running')
  await kill(child)
  await killPrograms(directory, 'SIGKILL')
  t.notOk(await isThere(join(directory, 'postgres')))
  await eventually(async () => (await programsOf(directory)).length === 0, 'initdb has ended')
  t.ok(await half())
  const started = await start(t, { directory, ...quiet })
  t.same(await query(started, 'select 1 as one'), [{ one: 1 }])
  t.notOk(await half())
})

t.test('a failed start reports the log of Postgres and unlocks the directory', async (t) => {
  const directory = await makeReadyDirectory(t)
  const config = join(directory, 'postgres/postgresql.conf')
  const right = await readFile(config)
  await writeFile(config, 'not_a_setting = 1\n')
  await t.rejects(startEmbedded({ directory }), { message: /unrecognized configuration parameter "not_a_se/ })
  await writeFile(config, right)
  await start(t, { directory, ...quiet })
})

t.test('if the path is too long for a socket, the socket gets its own directory', async (t) => {
  const directory = join(await makeDirectory(t), 'long'.repeat(20), 'way'.repeat(20), 'data')
  await chmod(dirname(dirname(dirname(directory))), 0o755)
  await mkdir(directory, { recursive: true })
  await run('cp', ['-a', join(ready, 'postgres'), directory])
  const socketOf = async () =>
    (await readFile(join(directory, 'postgres/postmaster.pid'), 'utf8')).split('\n')[4]!
  const child = startChild(t, directory)
  await eventually(() => child.count > 0, 'the child counts')
  await kill(child)
  const left = await socketOf()
  t.ok(await isThere(left))

  const started = await start(t, { directory, ...quiet })
  t.notOk(await isThere(left), 'the directory of a killed process is removed')
  const { host } = started.connection
  t.equal(host, await socketOf())
  t.ok(host.length < 80)
  t.equal(await modeOf(host), 0o700)
  t.equal((await stat(host)).uid, server.uid ?? process.getuid?.())
  t.ok((await query(started, 'select from counted')).length > 0)
  await started.stop()
  t.notOk(await isThere(host))
})

t.test('an unexpected file in the place of postmaster.pid is refused and not changed', async (t) => {
  const place = {
    link: (target: string, path: string) => symlink(target, path),
    'dangling link': (_: string, path: string) => symlink('/nowhere/at/all', path),
    'hard link': (target: string, path: string) => link(target, path),
    pipe: async (_: string, path: string) => {
      await run('mkfifo', [path])
    },
    directory: (_: string, path: string) => mkdir(path),
    ...(isRoot && {
      "a third user's file": async (_: string, path: string) => {
        await writeFile(path, '1\n')
        await chown(path, 4321, 4321)
      }
    })
  }
  const faults: Record<keyof typeof place, RegExp> = {
    link: /is a symbolic link/,
    'dangling link': /is a symbolic link/,
    'hard link': /is a hard link/,
    pipe: /is not a regular file/,
    directory: /is not a regular file/,
    "a third user's file": /belongs to user 4321/
  }
  const directory = await makeReadyDirectory(t)
  const victim = join(directory, 'victim')
  const path = join(directory, 'postgres/postmaster.pid')
  for (const [what, put] of Object.entries(place)) {
    await t.test(what, async (t) => {
      await writeFile(victim, 'first line\nsecond line\n', { mode: 0o600 })
      await put(victim, path)
      const before = await lstat(path)
      const error = await startEmbedded({ directory }).catch((caught: Error) => caught)
      t.type(error, Error)
      const { message } = error as Error
      t.ok(message.startsWith(`${path} `), message)
      t.match(message, faults[what as keyof typeof place])
      t.notMatch(message, '\n', 'one line')
      t.equal(await readFile(victim, 'utf8'), 'first line\nsecond line\n')
      const after = await lstat(path)
      t.same([after.ino, after.uid, after.mode], [before.ino, before.uid, before.mode])
      await rm(path, { recursive: true })
    })
  }
  await start(t, { directory, ...quiet })
})

t.test('an unexpected file in the place of the log is refused and not changed', async (t) => {
  const directory = await makeReadyDirectory(t)
  const log = join(directory, 'postgres.log')
  const victim = join(directory, 'victim')
  await writeFile(victim, 'kept\n', { mode: 0o600 })
  for (const put of [symlink, link, (_: string, path: string) => run('mkfifo', [path])]) {
    await put(victim, log)
    const { uid } = await stat(victim)
    await t.rejects(startEmbedded({ directory }), { message: /^\S+\/postgres\.log is / })
    t.equal(await readFile(victim, 'utf8'), 'kept\n')
    t.equal((await stat(victim)).uid, uid)
    await unlink(log)
  }
  await start(t, { directory, ...quiet })
})

t.test('as root', { skip: !isRoot && 'needs root' }, async (t) => {
  t.test('a cluster that root copied without its owner is refused', async (t) => {
    const directory = await makeDirectory(t)
    await run('cp', ['-r', join(ready, 'postgres'), directory])
    await t.rejects(startEmbedded({ directory }), { message: /belongs to root, .* with "cp -a"/ })
  })

  t.test('a link or a file in the place of the cluster is refused', async (t) => {
    const directory = await makeReadyDirectory(t)
    const cluster = join(directory, 'postgres')
    const elsewhere = join(await makeDirectory(t), 'postgres')
    await rename(cluster, elsewhere)
    const before = await readdir(elsewhere)
    for (const put of [
      () => symlink(elsewhere, cluster),
      () => symlink('/nowhere/at/all', cluster),
      () => writeFile(cluster, ''),
      () => run('mkfifo', [cluster])
    ]) {
      await put()
      await t.rejects(startEmbedded({ directory }), {
        message: new RegExp(`^${cluster} is (a symbolic link|not a directory)`)
      })
      t.same(await readdir(elsewhere), before)
      await unlink(cluster)
    }
  })

  t.test('a directory that another user can write to is refused before it is used', async (t) => {
    const directory = await makeReadyDirectory(t)
    const victim = join(await makeDirectory(t), 'victim')
    await writeFile(victim, 'a:b\n', { mode: 0o600 })
    for (const name of ['root.keys', 'admin.password', 'postgres.log', 'postgres.location'])
      await symlink(victim, join(directory, name))
    const before = await readdir(directory)
    const refused = async (message: RegExp) => {
      await t.rejects(startEmbedded({ directory }), { message })
      await t.rejects(prepareDataDirectory(directory), { name: 'ConfigError', message })
      t.same(await readdir(directory), before)
      t.equal(await readFile(victim, 'utf8'), 'a:b\n')
      t.equal((await stat(victim)).uid, 0)
    }
    await chown(directory, 4321, 0)
    await refused(/belongs to user 4321/)
    await chown(directory, 0, 4321)
    await chmod(directory, 0o770)
    await refused(/group 4321 may write/)
    await chmod(directory, 0o702)
    await refused(/every user may write/)
  })

  t.test('a socket directory named by the cluster is removed with the rights of its user', async (t) => {
    const directory = await makeReadyDirectory(t)
    const others = await makeDirectory(t)
    await chmod(others, 0o755)
    const real = join(others, 'latchkey-fedcba')
    await mkdir(real)
    await writeFile(join(real, '.s.PGSQL.5432'), '')
    const named = join(others, 'latchkey-abcdef')
    await symlink(real, named)
    const path = join(directory, 'postgres/postmaster.pid')
    for (const socket of [named, real]) {
      const lines = ['999999', join(directory, 'postgres'), '1', '5432', socket, '', '', 'ready']
      await writeFile(path, `${lines.join('\n')}\n`)
      await chown(path, server.uid!, server.gid!)
      await (await startEmbedded({ directory, ...quiet })).stop()
      t.ok(await isThere(join(real, '.s.PGSQL.5432')))
      t.ok((await lstat(named)).isSymbolicLink())
    }
  })

  t.test('a half-created cluster is emptied with the rights of its user', async (t) => {
    const directory = await makeReadyDirectory(t)
    await chmod(directory, 0o711)
    const half = join(directory, 'postgres.new-abcdef')
    await mkdir(join(half, 'base/deep'), { recursive: true })
    await writeFile(join(half, 'base/deep/file'), '')
    await run('chown', ['-R', `${server.uid}:${server.gid}`, half])
    const kept = join(half, 'roots')
    await mkdir(kept, { mode: 0o700 })
    await writeFile(join(kept, 'file'), '')
    await (await startEmbedded({ directory, ...quiet })).stop()
    t.same(await readdir(half), ['roots'], 'files that this user cannot remove are kept')
    t.same(await readdir(kept), ['file'])
    await rm(kept, { recursive: true })
    await (await startEmbedded({ directory, ...quiet })).stop()
    t.notOk(await isThere(half))
  })
})

t.test('a directory that all users may write to is refused', async (t) => {
  const directory = await makeDirectory(t)
  await chmod(directory, 0o777)
  await t.rejects(startEmbedded({ directory }), { message: /every user may write/ })
})

t.test(
  'as root, the cluster is in a fallback directory if no other user can reach the data directory',
  { skip: !isRoot && 'needs root' },
  async (t) => {
    const directory = join(await makeDirectory(t), 'data')
    const record = join(directory, 'postgres.location')
    let home: string | undefined
    t.teardown(async () => {
      if (!home) return
      await rm(home, { recursive: true })
      await rmdir(dirname(home)).catch(() => {})
    })
    const notices: string[] = []
    const first = await start(t, { directory, ...quiet, notice: (line) => notices.push(line) })
    home = (await readFile(record, 'utf8')).trim()
    t.match(notices, [home])
    t.ok(first.connection.host.startsWith(home))
    t.equal(await modeOf(home), 0o711)
    t.equal(await modeOf(join(home, 'postgres')), 0o700)
    await query(first, 'create table kept (word text)')
    await first.stop()

    const second = await start(t, { directory, ...quiet })
    t.same(await query(second, 'select word from kept'), [])
    await second.stop()
    await writeFile(record, `${home}-gone\n`)
    await t.rejects(
      startEmbedded({ directory }),
      { message: /is no longer in / },
      'no empty cluster is created'
    )
  }
)

t.test('the installed programs', async (t) => {
  const installed = await findPackage()
  const directory = await makeDirectory(t)
  const copy = join(directory, 'package')
  const copyPackage = () => run('cp', ['-a', installed, copy])
  const works = async (t: Test, native: string) => {
    const { stdout } = await run(join(native, 'bin/initdb'), ['--version'], { ...server, cwd: '/', env: {} })
    await run(join(native, 'bin/postgres'), ['--version'], { ...server, cwd: '/', env: {} })
    t.match(stdout, /PostgreSQL/)
  }

  t.test('get the links and modes that are missing after an installation without scripts', async (t) => {
    await copyPackage()
    await chmod(directory, 0o755)
    const links = JSON.parse(await readFile(join(copy, 'native/pg-symlinks.json'), 'utf8'))
    t.ok(links.length > 3)
    for (const { target } of links) await unlink(join(copy, target))
    for (const name of await readdir(join(copy, 'native/bin')))
      await chmod(join(copy, 'native/bin', name), 0o644)
    const location = await resolveLocation(join(directory, 'data'), () => {})
    const native = await findBinaries(copy, location, (line) => t.fail(line))
    t.equal(native, join(copy, 'native'))
    for (const { target } of links) t.ok(await isThere(join(copy, target)), target)
    await works(t, native)
    t.equal(await findBinaries(copy, location, (line) => t.fail(line)), native)
  })

  t.test('are copied if they cannot run in place', async (t) => {
    // If root runs this, the user of the server has no access. Otherwise, the links cannot be created.
    await rm(copy, { recursive: true, force: true })
    await copyPackage()
    await unlink(join(copy, 'native/lib/libpq.so.5')).catch(() => {})
    const libraries = join(copy, 'native/lib')
    await chmod(isRoot ? copy : libraries, isRoot ? 0o700 : 0o555)
    t.teardown(() => chmod(libraries, 0o755))
    const data = join(directory, 'data')
    const location = await resolveLocation(data, () => {})
    await mkdir(join(data, 'binaries-of-an-older-version'))
    const notices: string[] = []
    const native = await findBinaries(copy, location, (line) => notices.push(line))
    t.match(notices, [copy])
    t.ok(native.startsWith(data))
    await works(t, native)
    t.equal((await readdir(data)).filter((name) => name.startsWith('binaries-')).length, 1)
    t.equal(await findBinaries(copy, location, (line) => t.fail(line)), native, 'copied once')
  })
})
