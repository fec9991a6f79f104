import { randomInt } from 'node:crypto'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Notice, resolveLocation } from './directory.ts'
import { readOwned } from './files.ts'
import {
  type Connection,
  connectionAt,
  type EmbeddedOptions,
  type EmbeddedPostgres,
  startEmbedded
} from './postgres.ts'
import { DirectoryInUse } from './processes.ts'
import { canConnect, OWNER } from './roles.ts'

/** Longer than a service takes to start on an existing database, or a command to end. */
const WAIT_MS = 30_000

export interface OpenedPostgres {
  /** Connects as the owner of the tables. */
  owner: Connection
  /** Stops the Postgres, unless another process started it. */
  stop(): Promise<void>
}

/**
 * Starts the Postgres of a service. Waits for commands that use the directory. Throws DirectoryInUse if
 * another service uses it, or if a command still does after 30 seconds.
 */
export async function startForService(
  options: EmbeddedOptions & { notice: Notice }
): Promise<EmbeddedPostgres> {
  const told = new Set<string>()
  const notice = (line: string) => {
    if (!told.has(line)) options.notice(line)
    told.add(line)
  }
  for (const deadline = Date.now() + WAIT_MS; ; await sleep(randomInt(100, 300))) {
    try {
      return await startEmbedded({ ...options, notice })
    } catch (error) {
      if (!(error instanceof DirectoryInUse) || !error.isBrief || Date.now() > deadline) throw error
      notice('Waiting for a command that is using the database…')
    }
  }
}

/**
 * Opens the database of a data directory, which must have one: in the Postgres of a running service, or else
 * in a Postgres of this process. Waits for other commands. Throws DirectoryInUse after 30 seconds.
 */
export async function openEmbedded(directory: string): Promise<OpenedPostgres> {
  for (const deadline = Date.now() + WAIT_MS; ; await sleep(randomInt(100, 300))) {
    try {
      return await startEmbedded({ directory, brief: true })
    } catch (error) {
      if (!(error instanceof DirectoryInUse)) throw error
      const owner = error.isBrief ? undefined : await findRunning(directory)
      if (owner) return { owner, stop: async () => {} }
      if (Date.now() > deadline) throw error
    }
  }
}

/** Returns the connection to the Postgres that runs on the directory, or undefined if none responds. */
async function findRunning(directory: string): Promise<Connection | undefined> {
  const { cluster, runAs } = await resolveLocation(directory, () => {})
  const lines = (await readOwned(join(cluster, 'postmaster.pid'), runAs))?.split('\n')
  const socket = lines?.[4]
  if (!socket || (socket !== cluster && !/^latchkey-\w{6}$/.test(basename(socket)))) return undefined
  const owner = { ...connectionAt(socket), user: OWNER }
  return (await canConnect(owner)) ? owner : undefined
}
