import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chown, mkdtemp, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Test } from 'tap'
import { findBinaries, findPackage } from '../../src/embedded/binaries.ts'
import { startEmbedded } from '../../src/embedded/postgres.ts'
import { eventually } from './eventually.ts'

const run = promisify(execFile)
const MAX_CONNECTIONS = 100

/** The URLs of a Postgres and its hot standby, for the superuser. */
export interface Servers {
  primaryUrl: string
  standbyUrl: string
}

/** Starts a Postgres and a hot standby that replicates it. Both are stopped when the test ends. */
export async function startStandby(t: Test): Promise<Servers> {
  const directory = await makeDirectory(t)
  const options = { directory, durable: false, maxConnections: MAX_CONNECTIONS }
  await (await startEmbedded(options)).stop()
  const cluster = join(directory, 'postgres')
  const copy = join(directory, 'standby')
  await run('cp', ['-a', cluster, copy])
  const primary = await startEmbedded(options)
  t.teardown(primary.stop)
  const { host, port, user } = primary.connection

  const source = `host=${host} port=${port} user=${user}`
  await appendFile(join(copy, 'postgresql.auto.conf'), `primary_conninfo = '${source}'\n`)
  await writeFile(join(copy, 'standby.signal'), '')
  const socket = await makeDirectory(t)
  const { uid, gid } = await stat(cluster)
  await chown(socket, uid, gid)
  const runAs = process.getuid?.() === 0 ? { uid, gid } : undefined
  const location = { directory, home: directory, cluster, runAs }
  const binaries = await findBinaries(await findPackage(), location, () => {})
  const settings = {
    listen_addresses: '',
    unix_socket_directories: socket,
    port,
    max_connections: MAX_CONNECTIONS,
    fsync: 'off'
  }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const standby = spawn(join(binaries, 'bin/postgres'), ['-D', copy, ...args], {
    ...runAs,
    cwd: '/',
    env: { LC_ALL: 'C', TZ: 'UTC' },
    stdio: 'ignore'
  })
  t.teardown(async () => {
    if (standby.exitCode !== null) return
    standby.kill('SIGINT')
    await once(standby, 'exit')
  })
  const urlOf = (socket: string) =>
    `postgresql://${user}@/latchkey?host=${encodeURIComponent(socket)}&port=${port}`
  const servers = { primaryUrl: urlOf(host), standbyUrl: urlOf(socket) }
  await eventually(() => replicated(servers).catch(() => false), 'the standby is up', 30_000)
  return servers
}

/** Returns true if the standby has replayed everything that the primary has committed. */
export async function replicated({ primaryUrl, standbyUrl }: Servers): Promise<boolean> {
  const [{ at }] = await query(primaryUrl, 'select pg_current_wal_lsn()::text as at')
  const [{ done }] = await query(standbyUrl, 'select pg_last_wal_replay_lsn() >= $1::pg_lsn as done', [at])
  return done
}

/** Runs one statement on a separate connection. */
export async function query(url: string, text: string, values: unknown[] = []) {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}

async function makeDirectory(t: Test): Promise<string> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'latchkey-standby-')))
  t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
  return directory
}
