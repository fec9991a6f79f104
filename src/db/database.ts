import { Kysely, type Transaction as KyselyTransaction, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { isRetryable } from './errors.ts'
import { type ConnectionOptions, kyselyPool, type PoolEvents, StatementPool } from './pool.ts'
import type { Tables } from './tables.ts'

export type Database = Kysely<Tables>
export type Transaction = KyselyTransaction<Tables>

/**
 * Connections for batched look-ups by key, for other short reads, for long reads, and by default for writes
 * and transactions.
 */
const LOOKUP_CONNECTIONS = 2
const READ_CONNECTIONS = 6
const LONG_READ_CONNECTIONS = 3
const WRITE_CONNECTIONS = 10

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

/** Time-outs for connecting, statements, locks and idle transactions. */
const limits = {
  options: '-c plan_cache_mode=force_generic_plan',
  connectionTimeoutMillis: 5_000,
  statement_timeout: 10_000,
  lock_timeout: 5_000,
  idle_in_transaction_session_timeout: 10_000,
  // Longer than the server's own limit: reached only if the server no longer answers.
  query_timeout: 15_000,
  keepAlive: true
}

interface Pools {
  lookups: StatementPool
  reads: StatementPool
  longReads: StatementPool
  writes: StatementPool
}

/** A Kysely database whose pools `prepared` uses outside transactions. */
class PooledDatabase extends Kysely<Tables> {
  readonly pools: Pools

  constructor(pools: Pools) {
    super({ dialect: new PostgresDialect({ pool: kyselyPool(pools.reads, pools.writes) }) })
    this.pools = pools
  }

  override async destroy(): Promise<void> {
    await Promise.all([
      super.destroy(),
      ...Object.values(this.pools).map((pool: StatementPool) => pool.end())
    ])
  }
}

/** Returns a pool, or undefined for a transaction, whose statements stay on its connection. */
export function poolOf(db: Database, name: 'lookups' | 'reads' | 'longReads'): StatementPool | undefined {
  return db instanceof PooledDatabase ? db.pools[name] : undefined
}

/**
 * Throws if a pool cannot connect to a server that accepts writes, or if that server does not answer.
 * Requests that ask at the same time share the answer.
 */
export function checkConnections(db: Database): Promise<void> {
  const running = checks.get(db) ?? check(db).finally(() => checks.delete(db))
  checks.set(db, running)
  return running
}

const checks = new WeakMap<Database, Promise<void>>()

async function check(db: Database): Promise<void> {
  if (!(db instanceof PooledDatabase)) return
  const { reads, ...others } = db.pools
  await Promise.all([reads.checkServer(), ...Object.values(others).map((pool) => pool.check())])
}

/** Connects on the first query. Close it with `destroy()`. `poolSize` bounds the connections for writes. */
export function createDatabase(
  connection: ConnectionOptions,
  options: { poolSize?: number; onConnectionError?: (error: Error) => void } = {}
): Database {
  let renewAfter = 0
  const events: PoolEvents = {
    connectionError: options.onConnectionError ?? (() => {}),
    // Other connections may be to the same server, or be read-only since they were opened.
    readOnly: () => {
      if (performance.now() < renewAfter) return
      renewAfter = performance.now() + RENEW_INTERVAL_MS
      for (const pool of Object.values(pools)) pool.renew()
    }
  }
  const pool = (max: number) =>
    new StatementPool({ application_name: 'latchkey', types, ...limits, ...connection }, max, events)
  const pools: Pools = {
    lookups: pool(LOOKUP_CONNECTIONS),
    reads: pool(READ_CONNECTIONS),
    longReads: pool(LONG_READ_CONNECTIONS),
    writes: pool(options.poolSize ?? WRITE_CONNECTIONS)
  }
  return new PooledDatabase(pools)
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
