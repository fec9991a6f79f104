import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { startEmbedded } from '../src/embedded/postgres.ts'

const PREFIX = 'latchkey_bench_'
export const TEMPLATE = `${PREFIX}template`
const SEALED_WITHIN_MS = 120_000
const CONNECTIONS = 150

/** A Postgres server on which the benchmark creates databases. */
export interface Postgres {
  readonly version: string
  /** Queries the server, outside of the measured load. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
  /** The URL of one of its databases. */
  urlOf(database: string): string
  /** Creates an empty database, after dropping one with the same name. */
  create(database: string): Promise<void>
  /** Copies the template, which must have no connections. */
  copy(side: string): Promise<string>
  drop(database: string): Promise<void>
  close(): Promise<void>
}

/** Uses the server at `url`, or an embedded one with data in `directory` and fsync on. */
export async function openPostgres(url: string | undefined, directory: string): Promise<Postgres> {
  const embedded = url
    ? undefined
    : await startEmbedded({ directory, durable: true, maxConnections: CONNECTIONS })
  const stop = async () => embedded?.stop()
  const urlOf = (database: string) => {
    if (!embedded) return inDatabase(url!, database)
    const { host, port, user } = embedded.connection
    return `postgresql://${user}@/${database}?host=${encodeURIComponent(host)}&port=${port}`
  }
  const client = new pg.Client({ connectionString: url ?? urlOf('postgres') })
  // Ignored: if the connection is lost, the next query rejects.
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (error) {
    await stop()
    throw error
  }
  const query = async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
    (await client.query<Row>(text, values)).rows
  const drop = async (database: string) => {
    await query(`drop database if exists ${database} with (force)`)
  }
  const create = async (database: string, options = '') => {
    await drop(database)
    await query(`create database ${database} ${options}`)
  }
  const [found] = await query<{ version: string }>(`select current_setting('server_version') as version`)
  return {
    version: found!.version,
    query,
    urlOf,
    create: (database) => create(database),
    async copy(side) {
      const database = `${PREFIX}${side}`
      await create(database, `template ${TEMPLATE} strategy file_copy`)
      return database
    },
    drop,
    async close() {
      await client.end().catch(() => {})
      await stop()
    }
  }
}

function inDatabase(url: string, database: string): string {
  // URL cannot parse the URL of a Unix socket, which has no host.
  const parsed = new URL(url.replace('@/', '@localhost/'))
  parsed.pathname = `/${database}`
  return url.includes('@/') ? parsed.href.replace('@localhost/', '@/') : parsed.href
}

/** Runs `work` with a connection to the database. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return work(client).finally(() => client.end())
}

/** Waits until the service has sealed all audit events, in the background. */
export function auditIsSealed(url: string, signal: AbortSignal): Promise<void> {
  return withClient(url, async (client) => {
    for (const deadline = Date.now() + SEALED_WITHIN_MS; ; await sleep(100, undefined, { signal })) {
      const { rowCount } = await client.query('select from audit_unsealed where settled_at <= now() limit 1')
      if (!rowCount) return
      if (Date.now() > deadline) throw new Error('the service did not seal its audit events in time')
    }
  })
}
