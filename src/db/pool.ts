import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import pg from 'pg'
import { endsConnection, isStaleStatement } from './errors.ts'

/** Options of a `pg.Client`: a connection string, or host, port, user and database. */
export type ConnectionOptions = pg.ClientConfig

/** How long `end` waits for the server to close connections before it drops them, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000

/**
 * Bounds the memory for names. Every statement of the service has a constant text; lists go as array
 * parameters.
 */
const MAX_NAMES = 1_000
const names = new Map<string, string>()

/** Returns the prepared statement's name for a data statement, or undefined for one that is sent unnamed. */
function statementName(text: string): string | undefined {
  const known = names.get(text)
  if (known !== undefined) return known
  if (!/^(select|insert|update|delete|with)\b/.test(text) || names.size >= MAX_NAMES) return undefined
  const name = `latchkey_${names.size}`
  names.set(text, name)
  return name
}

/** A `pg.Pool` that prepares data statements by name and never reuses a broken connection. */
export class StatementPool {
  readonly #pool: pg.Pool
  readonly #max: number
  readonly #sockets = new Set<Socket>()
  #ended: Promise<void> | undefined

  /** `onError` is called for connections that end while no statement is running on them. */
  constructor(connection: ConnectionOptions, max: number, onError: (error: Error) => void) {
    this.#max = max
    this.#pool = new pg.Pool({
      ...connection,
      max,
      idleTimeoutMillis: 30_000,
      stream: () => this.#createSocket()
    })
    this.#pool.on('error', onError)
    // A client in use emits `error` when its connection ends; without a listener that would end the process.
    this.#pool.on('connect', (client) => client.on('error', onError))
  }

  async connect(): Promise<StatementClient> {
    return new StatementClient(await this.#pool.connect())
  }

  /**
   * Runs one read. If its prepared statement is stale because a migration changed its tables, closes the
   * connection and tries another one.
   */
  async query<R>(text: string, values: readonly unknown[]): Promise<R[]> {
    for (let attempt = 0; ; attempt++) {
      const client = await this.connect()
      try {
        return (await client.send(text, values)).rows as R[]
      } catch (error) {
        if (!isStaleStatement(error) || attempt === this.#max) throw error
      } finally {
        client.release()
      }
    }
  }

  /** Closes all connections. Drops those that an unresponsive server keeps open. */
  end(): Promise<void> {
    this.#ended ??= this.#end()
    return this.#ended
  }

  async #end(): Promise<void> {
    const ended = this.#pool.end()
    const done = new AbortController()
    const late = sleep(CLOSE_TIMEOUT_MS, undefined, { signal: done.signal, ref: false }).then(
      () => {
        for (const socket of this.#sockets) socket.destroy()
      },
      () => {}
    )
    await Promise.race([ended, late.then(() => ended)])
    done.abort()
  }

  #createSocket(): Socket {
    const socket = new Socket()
    this.#sockets.add(socket)
    return socket.once('close', () => this.#sockets.delete(socket))
  }
}

/** A connection checked out of a StatementPool. */
export class StatementClient {
  readonly #client: pg.PoolClient
  #broken = false

  constructor(client: pg.PoolClient) {
    this.#client = client
  }

  async send(text: string, values: readonly unknown[]): Promise<pg.QueryResult> {
    const name = statementName(text)
    try {
      return await this.#client.query({ ...(name && { name }), text, values: values as unknown[] })
    } catch (error) {
      this.#broken ||= endsConnection(error)
      throw error
    }
  }

  /** Rolls back. Never throws: a connection that cannot roll back is closed, which has the same effect. */
  async rollback() {
    if (!this.#broken) {
      await this.#client.query('rollback').catch(() => {
        this.#broken = true
      })
    }
    return { command: 'ROLLBACK' as const, rows: [] }
  }

  release(): void {
    this.#client.release(this.#broken)
  }
}

/**
 * The pool that Kysely uses. A select outside a transaction runs on `reads`; everything else, and every
 * transaction, runs on `writes`. Statements that wait for locks therefore never keep reads waiting for a
 * connection.
 */
export function kyselyPool(reads: StatementPool, writes: StatementPool): PostgresPool {
  return {
    options: {} as PostgresPool['options'],
    connect: async () => new KyselyClient(reads, writes) as unknown as PostgresPoolClient,
    end: async () => {
      await Promise.all([reads.end(), writes.end()])
    }
  }
}

const LOCKS_ROWS = /\bfor (no key )?(update|share|key share)\b/i

class KyselyClient {
  readonly #reads: StatementPool
  readonly #writes: StatementPool
  #client: StatementClient | undefined

  constructor(reads: StatementPool, writes: StatementPool) {
    this.#reads = reads
    this.#writes = writes
  }

  async query(text: string, values: readonly unknown[]) {
    if (!this.#client && text.startsWith('select') && !LOCKS_ROWS.test(text)) {
      return { command: 'SELECT' as const, rows: await this.#reads.query(text, values) }
    }
    this.#client ??= await this.#writes.connect()
    return text === 'rollback' ? this.#client.rollback() : this.#client.send(text, values)
  }

  release(): void {
    this.#client?.release()
    this.#client = undefined
  }
}
