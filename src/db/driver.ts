import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CompiledQuery, DatabaseConnection, Driver, QueryResult, TransactionSettings } from 'kysely'
import pg from 'pg'
import { endsConnection } from './errors.ts'
import { Pipeline } from './pipeline.ts'
import { nameOf, type Read, readOf } from './prepared.ts'
import { run } from './query.ts'

/** How long a server has to say goodbye. */
const GOODBYE_MS = 2_000

/** What a `pg.Client` is made with: a connection string, or host, port, user and database. */
export type ConnectionOptions = pg.ClientConfig

/**
 * A Kysely driver for Postgres that prepares every statement by name, sends single reads over a few shared pipelined
 * connections (each kind of read over its own), and keeps the pool for writes
 * and transactions. `onConnectionError` is told of connections that die while nobody waits for them.
 */
export class PostgresDriver implements Driver {
  readonly #pool: pg.Pool
  readonly #lanes: Readonly<Record<Read, Pipeline>>
  readonly #sockets = new Set<Socket>()
  #destroyed: Promise<void> | undefined

  constructor(options: ConnectionOptions, poolSize: number, onConnectionError: (error: Error) => void) {
    const connection: ConnectionOptions = { ...options, stream: () => this.#socket() }
    this.#pool = new pg.Pool({ ...connection, max: poolSize, idleTimeoutMillis: 30_000 })
    this.#pool.on('error', onConnectionError)
    // A checked-out client emits `error` when its server goes; nobody else listens, and that ends a process.
    this.#pool.on('connect', (client) => client.on('error', onConnectionError))
    const lane = (lanes: number, settings: string) => {
      const options = `${connection.options ?? ''} ${settings}`
      return new Pipeline({ ...connection, options }, lanes, onConnectionError)
    }
    // Nearly all look for rows by keys and indexes. While tables are small, or were when the plan was made, Postgres would
    // rather read them whole and hash them, which takes longer to set up than the look-ups take. A join on what has
    // no index does not belong here: it is for `search`.
    const byKey = '-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off'
    this.#lanes = {
      quick: lane(2, byKey),
      long: lane(4, byKey),
      search: lane(2, '-c plan_cache_mode=auto')
    }
  }

  async init() {}

  /** Sends one read; gives its rows. */
  async read(kind: Read, query: pg.QueryConfig): Promise<unknown[]> {
    return (await this.#lanes[kind].query(query)).rows
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    return new Connection(this.#pool, this.#lanes)
  }

  async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings) {
    const level = settings.isolationLevel ? ` isolation level ${settings.isolationLevel}` : ''
    await (connection as Connection).begin(`begin${level}`)
  }

  async commitTransaction(connection: DatabaseConnection) {
    await (connection as Connection).commit()
  }

  async rollbackTransaction(connection: DatabaseConnection) {
    await (connection as Connection).rollback()
  }

  async releaseConnection(connection: DatabaseConnection) {
    ;(connection as Connection).release()
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#end()
    return this.#destroyed
  }

  async #end() {
    const ended = Promise.all([this.#pool.end(), ...Object.values(this.#lanes).map((lane) => lane.end())])
    // A server that is gone without a word answers no goodbye either.
    const timer = new AbortController()
    const late = sleep(GOODBYE_MS, undefined, { signal: timer.signal, ref: false }).then(
      () => {
        for (const socket of this.#sockets) socket.destroy()
      },
      () => {}
    )
    await Promise.race([ended, late.then(() => ended)])
    timer.abort()
  }

  #socket(): Socket {
    const socket = new Socket()
    this.#sockets.add(socket)
    return socket.once('close', () => this.#sockets.delete(socket))
  }
}

/** Takes a client of the pool only when a transaction begins; until then each statement finds its own way. */
class Connection implements DatabaseConnection {
  readonly #pool: pg.Pool
  readonly #lanes: Readonly<Record<Read, Pipeline>>
  #client: pg.PoolClient | undefined
  /** The client is not fit for another use: it is closed, or an answer is still to come that nobody waits for. */
  #broken = false

  constructor(pool: pg.Pool, lanes: Readonly<Record<Read, Pipeline>>) {
    this.#pool = pool
    this.#lanes = lanes
  }

  async begin(statement: string) {
    this.#client = await this.#pool.connect()
    this.#broken = false
    await this.#send({ text: statement })
  }

  async commit() {
    await this.#send({ text: 'commit' })
  }

  /** Throws nothing: a connection that cannot roll back is closed, and that does it. */
  async rollback() {
    if (this.#broken) return
    await this.#send({ text: 'rollback' }).catch(() => {
      this.#broken = true
    })
  }

  async executeQuery<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    const name = nameOf(compiled)
    const query: pg.QueryConfig = { text: compiled.sql, values: compiled.parameters as unknown[] }
    if (name !== undefined) query.name = name
    const read = readOf(compiled.query)
    const result = this.#client
      ? await this.#send(query)
      : read
        ? await this.#lanes[read].query(query)
        : await this.#sendAlone(query)
    return { rows: result.rows as R[], numAffectedRows: BigInt(result.rowCount ?? 0) }
  }

  streamQuery(): AsyncIterableIterator<never> {
    throw new Error('streaming is not supported')
  }

  release() {
    this.#client?.release(this.#broken)
    this.#client = undefined
  }

  async #send(query: pg.QueryConfig): Promise<pg.QueryResult> {
    try {
      return await run(this.#client!, query)
    } catch (error) {
      this.#broken ||= endsConnection(error)
      throw error
    }
  }

  // Not `pool.query`, which closes a good connection for every statement that Postgres refuses.
  async #sendAlone(query: pg.QueryConfig): Promise<pg.QueryResult> {
    const client = await this.#pool.connect()
    let broken = false
    try {
      return await run(client, query)
    } catch (error) {
      broken = endsConnection(error)
      throw error
    } finally {
      client.release(broken)
    }
  }
}
