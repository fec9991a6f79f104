import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import pg from 'pg'
import { endsConnection, isReadOnly, isStaleStatement, READ_ONLY, STANDBY } from './errors.ts'

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

/** The longest that a connection is used, so that an address that has moved is followed. */
const MAX_LIFETIME_SECONDS = 300

export interface PoolEvents {
  /** A connection ended while no statement was running on it. */
  connectionError(error: Error): void
  /** A statement found its server read-only. */
  readOnly(): void
}

/**
 * A `pg.Pool` that prepares data statements by name and never reuses a broken connection. It does not connect
 * to a standby, as libpq does not with `target_session_attrs=primary`: that answers with what it has received
 * so far, such as a session that was ended since.
 */
export class StatementPool {
  readonly #pool: pg.Pool
  readonly #max: number
  readonly #events: PoolEvents
  readonly #sockets = new Set<Socket>()
  /** Connections that were opened after the last `renew`. */
  #current = new WeakSet<pg.PoolClient>()
  #ended: Promise<void> | undefined

  constructor(connection: ConnectionOptions, max: number, events: PoolEvents) {
    this.#max = max
    this.#events = events
    this.#pool = new pg.Pool({
      ...connection,
      max,
      idleTimeoutMillis: 30_000,
      maxLifetimeSeconds: MAX_LIFETIME_SECONDS,
      // The pool waits for it, whatever its type says.
      onConnect: (client) => requirePrimary((text) => client.query(text)),
      stream: () => this.#createSocket()
    })
    const onError = (error: Error) => events.connectionError(error)
    this.#pool.on('error', onError)
    this.#pool.on('connect', (client) => {
      this.#current.add(client)
      // A client in use emits `error` when its connection ends; without a listener, that ends the process.
      client.on('error', onError)
    })
  }

  async connect(): Promise<StatementClient> {
    for (;;) {
      const client = await this.#pool.connect()
      const isCurrent = () => this.#current.has(client)
      if (isCurrent()) return new StatementClient(client, isCurrent, () => this.#events.readOnly())
      client.release(true)
    }
  }

  /** Throws if there is no connection, and none can be opened. */
  async check(): Promise<void> {
    if (this.#pool.totalCount === 0) (await this.connect()).release()
  }

  /** Throws if no connection can be had, or if its server does not answer or is read-only. */
  async checkServer(): Promise<void> {
    const client = await this.connect()
    try {
      await requireWritable((text) => client.send(text, []))
    } catch (error) {
      // The database may take writes again, but not on connections from before.
      this.#events.readOnly()
      throw error
    } finally {
      client.release()
    }
  }

  /**
   * Connects anew: closes idle connections, and those in use after their statement or transaction. Requests
   * that wait for a connection get a new one.
   */
  renew(): void {
    if (this.#ended) return
    this.#current = new WeakSet()
    for (let idle = this.#pool.idleCount; idle > 0; idle--) {
      void this.#pool.connect().then(
        (client) => client.release(!this.#current.has(client)),
        () => {}
      )
    }
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

type Query = (text: string) => Promise<pg.QueryResult>

async function requirePrimary(query: Query): Promise<void> {
  const { rows } = await query('select pg_is_in_recovery() as is_standby')
  if (rows[0].is_standby) throw new Error(STANDBY)
}

async function requireWritable(query: Query): Promise<void> {
  await requirePrimary(query)
  const { rows } = await query(`select current_setting('transaction_read_only') = 'on' as is_read_only`)
  if (rows[0].is_read_only) throw new Error(READ_ONLY)
}

/** A connection checked out of a StatementPool. */
export class StatementClient {
  readonly #client: pg.PoolClient
  readonly #isCurrent: () => boolean
  readonly #onReadOnly: () => void
  #broken = false

  /** `isCurrent` returns false once the pool has been renewed. */
  constructor(client: pg.PoolClient, isCurrent: () => boolean, onReadOnly: () => void) {
    this.#client = client
    this.#isCurrent = isCurrent
    this.#onReadOnly = onReadOnly
  }

  async send(text: string, values: readonly unknown[]): Promise<pg.QueryResult> {
    const name = statementName(text)
    try {
      return await this.#client.query({ ...(name && { name }), text, values: values as unknown[] })
    } catch (error) {
      this.#broken ||= endsConnection(error)
      if (isReadOnly(error) && this.#isCurrent()) this.#onReadOnly()
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
    this.#client.release(this.#broken || !this.#isCurrent())
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
