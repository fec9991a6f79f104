import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { startEmbedded } from '../src/embedded/postgres.ts'
import { postmasterOf } from './cpu.ts'

const SETTLED_WITHIN_MS = 60_000

/** A Postgres server with an empty database on it, and a connection of our own for what is not measured. */
export interface Postgres {
  readonly url: string
  readonly version: string
  readonly client: pg.Client
  /** Null when it is not on this machine. */
  readonly postmaster: number | null
  /** Waits until the service has sealed its audit events, so that this work falls on nobody else's figures. */
  settle(): Promise<void>
  close(): Promise<void>
}

/**
 * The server at `url`, on which a database is made and dropped again; without one the embedded server, as durable as
 * in production, with its data in `directory`.
 */
export async function openPostgres(url: string | undefined, directory: string): Promise<Postgres> {
  const server = url ? await databaseOn(url) : await embeddedIn(directory)
  try {
    return await connect(server)
  } catch (error) {
    await server.close()
    throw error
  }
}

interface Server {
  url: string
  close(): Promise<void>
}

async function embeddedIn(directory: string): Promise<Server> {
  const server = await startEmbedded({ directory, durable: true, maxConnections: 150 })
  const { host, port, user, database } = server.connection
  const url = `postgresql://${user}@/${database}?host=${encodeURIComponent(host)}&port=${port}`
  return { url, close: server.stop }
}

async function databaseOn(url: string): Promise<Server> {
  const name = `latchkey_bench_${randomBytes(6).toString('hex')}`
  const administer = async (statement: string) => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await client.query(statement).finally(() => client.end())
  }
  await administer(`create database ${name}`)
  const own = new URL(url.replace('@/', '@localhost/'))
  own.pathname = `/${name}`
  return {
    url: own.href.replace('@localhost/', '@/'),
    close: () => administer(`drop database ${name} with (force)`)
  }
}

async function connect({ url, close }: Server): Promise<Postgres> {
  const client = new pg.Client({ connectionString: url })
  // What ends it is seen by the next statement.
  client.on('error', () => {})
  await client.connect()
  const { rows } = await client.query<{ pid: number; version: string }>(
    `select pg_backend_pid() as pid, current_setting('server_version') as version`
  )
  return {
    url,
    client,
    version: rows[0]!.version,
    postmaster: await postmasterOf(rows[0]!.pid),
    async settle() {
      for (const deadline = Date.now() + SETTLED_WITHIN_MS; ; await sleep(100)) {
        const { rowCount } = await client.query(
          `select from audit_unsealed where settled_at <= now() limit 1`
        )
        if (!rowCount) return
        if (Date.now() > deadline) throw new Error('the service does not seal its audit events')
      }
    },
    async close() {
      await client.end().catch(() => {})
      await close()
    }
  }
}
