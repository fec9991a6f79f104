import { cpuOf, DatabaseCpu } from './cpu.ts'
import { auditIsSealed, type Postgres, withClient } from './postgres.ts'
import { type Server, startReference, startService } from './service.ts'

/** One of two servers that are measured alternately, each with its own copy of the data. */
export interface Side {
  readonly name: string
  server: Server
  restart(): Promise<void>
  /** Waits for background work that the requests have caused. */
  settle(): Promise<void>
  /** Returns the CPU time so far, in microseconds. */
  cpu(): Promise<{ node: number | null; postgres: number | null }>
  close(): Promise<void>
}

/** Starts the service of a checkout. */
export function openService(
  name: string,
  checkout: string,
  rootKeys: string,
  postgres: Postgres,
  signal: AbortSignal
): Promise<Side> {
  const start = (url: string) =>
    startService(checkout, { DATABASE_URL: url, LATCHKEY_ROOT_KEYS: rootKeys }, signal)
  return open(name, postgres, start, (url) => auditIsSealed(url, signal))
}

export function openReference(postgres: Postgres, signal: AbortSignal): Promise<Side> {
  const start = async (url: string) => {
    // A copy of the table of events without its triggers.
    await withClient(url, (client) =>
      client.query('create table if not exists bench_insert (like audit_events including all)')
    )
    return startReference(url, signal)
  }
  return open('reference', postgres, start, async () => {})
}

async function open(
  name: string,
  postgres: Postgres,
  start: (url: string) => Promise<Server>,
  settle: (url: string) => Promise<void>
): Promise<Side> {
  const database = await postgres.copy(name)
  const url = postgres.urlOf(database)
  const databaseCpu = new DatabaseCpu(postgres, database)
  try {
    const server = await start(url)
    // The start may have migrated the copy.
    await withClient(url, (client) => client.query('vacuum analyze'))
    const side: Side = {
      name,
      server,
      async restart() {
        await side.server.stop()
        side.server = await start(url)
      },
      settle: () => settle(url),
      cpu: async () => ({ node: await cpuOf(side.server.pid), postgres: await databaseCpu.sample() }),
      async close() {
        await side.server.stop()
        await postgres.drop(database)
      }
    }
    return side
  } catch (error) {
    await postgres.drop(database)
    throw error
  }
}
