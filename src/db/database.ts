import { Kysely, type Transaction as KyselyTransaction, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import type { ServerOptions } from './connection.ts'
import { urlsOfHosts } from './database-url.ts'
import { isRetryable } from './errors.ts'
import { kyselyPool } from './kysely-pool.ts'
import { ConnectionPool, type Lease } from './pool.ts'
import { LIMITS, type Limits } from './server-check.ts'
import { Servers } from './servers.ts'
import type { Tables } from './tables.ts'
import { DEFAULT_CONNECTIONS, type Kind } from './uses.ts'

export type Database = Kysely<Tables>
export type Transaction = KyselyTransaction<Tables>

/** How often connections are renewed while writes are refused. */
const RENEW_INTERVAL_MS = 1_000

const { builtins } = pg.types
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text') =>
    // count() and int8 are strings by default. None of the service's numbers exceeds 2^53.
    oid === builtins.INT8
      ? Number
      : pg.types.getTypeParser(oid, format)) as pg.CustomTypesConfig['getTypeParser']
}

/**
 * How to connect: a `connectionString`, which may have several hosts, or host, port, user and database. The
 * limits of a session are texts such as `5s`; 0 means no limit.
 */
export type ConnectionOptions = ServerOptions & Partial<Limits> & { connectionTimeoutMillis?: number }

const TIMEOUTS = {
  connectionTimeoutMillis: 5_000,
  // Longer than the server's own limit: reached only if the server no longer responds.
  query_timeout: 15_000
}

/** A Kysely database whose pool `prepared` uses outside transactions. */
class PooledDatabase extends Kysely<Tables> {
  readonly pool: ConnectionPool
  readonly #readers = new Map<Kind, Reader>()

  constructor(pool: ConnectionPool) {
    super({ dialect: new PostgresDialect({ pool: kyselyPool(pool) }) })
    this.pool = pool
  }

  reader(kind: Kind): Reader {
    const reader = this.#readers.get(kind) ?? new Reader(this.pool, kind)
    this.#readers.set(kind, reader)
    return reader
  }

  override async destroy(): Promise<void> {
    await Promise.all([super.destroy(), this.pool.end()])
  }
}

/** The connections for one kind of reads. */
export class Reader {
  readonly #pool: ConnectionPool
  readonly #kind: Kind

  constructor(pool: ConnectionPool, kind: Kind) {
    this.#pool = pool
    this.#kind = kind
  }

  query<R>(text: string, values: readonly unknown[]): Promise<R[]> {
    return this.#pool.query(this.#kind, text, values)
  }
}

/** Returns the reader of a kind, or undefined for a transaction, whose statements stay on its connection. */
export function readerOf(db: Database, kind: Exclude<Kind, 'writes'>): Reader | undefined {
  return db instanceof PooledDatabase ? db.reader(kind) : undefined
}

/** Waits for a connection for exclusive use until it is released. */
export function leaseOf(db: Database): Promise<Lease> {
  if (!(db instanceof PooledDatabase)) throw new TypeError('a transaction cannot lend a connection')
  return db.pool.connect('writes')
}

/**
 * Throws if no connection to a server that accepts writes can be opened, or if that server does not respond.
 * Concurrent calls share the result.
 */
export function checkConnections(db: Database): Promise<void> {
  const running = checks.get(db) ?? check(db).finally(() => checks.delete(db))
  checks.set(db, running)
  return running
}

const checks = new WeakMap<Database, Promise<void>>()

async function check(db: Database): Promise<void> {
  if (db instanceof PooledDatabase) await db.pool.check()
}

export interface DatabaseOptions {
  /** The most connections at a time. */
  connections?: number
  onConnectionError?: (error: Error) => void
}

/** For `COPY`, which has no time limit: without the delay, a vanished server is noticed after two hours. */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 }

/** Connects on the first query. Close it with `destroy()`. */
export function createDatabase(
  connection: ConnectionOptions,
  { connections = DEFAULT_CONNECTIONS, onConnectionError = () => {} }: DatabaseOptions = {}
): Database {
  const { connectionTimeoutMillis: timeoutMs, ...options } = { ...TIMEOUTS, ...connection }
  const { limits, server } = splitLimits(options)
  const { connectionString } = server
  const urls = connectionString === undefined ? undefined : urlsOfHosts(connectionString)
  const common: ServerOptions = { application_name: 'latchkey', types, ...KEEP_ALIVE, ...server }
  let renewAfter = 0
  const servers = new Servers(urls?.map((url) => ({ ...common, connectionString: url })) ?? [common], {
    limits,
    timeoutMs,
    // Other connections may be to the same server, or be read-only since they were opened.
    onReadOnly: () => {
      if (performance.now() < renewAfter) return
      renewAfter = performance.now() + RENEW_INTERVAL_MS
      pool.renew()
    }
  })
  const pool = new ConnectionPool(servers, { connections, timeoutMs, onError: onConnectionError })
  return new PooledDatabase(pool)
}

/** The limits that apply to all sessions are `LIMITS` itself. */
function splitLimits(options: ServerOptions & Partial<Limits>) {
  const { plan_cache_mode, statement_timeout, lock_timeout, idle_in_transaction_session_timeout, ...server } =
    options
  const given = { plan_cache_mode, statement_timeout, lock_timeout, idle_in_transaction_session_timeout }
  const own = Object.entries(given).filter(([, value]) => value !== undefined)
  const limits: Limits = own.length === 0 ? LIMITS : { ...LIMITS, ...Object.fromEntries(own) }
  return { limits, server }
}

/**
 * Runs `work` in a transaction, up to three times in case of a deadlock or serialization failure. `work` must
 * have no effect outside the transaction. If `db` is a transaction, runs once in that.
 */
export async function inTransaction<T>(db: Database, work: (trx: Transaction) => Promise<T>): Promise<T> {
  if (db.isTransaction) return work(db as Transaction)
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction().execute(work)
    } catch (error) {
      if (attempt === 3 || !isRetryable(error)) throw error
    }
  }
}

/** Takes an advisory lock by name until the transaction ends, or returns false if another process has it. */
export async function tryLockName(trx: Transaction, name: string): Promise<boolean> {
  const { rows } = await sql<{ taken: boolean }>`
    select pg_try_advisory_xact_lock(hashtextextended(${`latchkey/${name}`}, 0)) as taken`.execute(trx)
  return rows[0]!.taken
}

/** Takes an advisory lock by name, across all replicas, until the transaction ends. */
export async function lockName(trx: Transaction, name: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`latchkey/${name}`}, 0))`.execute(trx)
}
