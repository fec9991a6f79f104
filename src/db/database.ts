import {
  Kysely,
  type Transaction as KyselyTransaction,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql
} from 'kysely'
import pg from 'pg'
import { type ConnectionOptions, PostgresDriver } from './driver.ts'
import { isRetryable } from './errors.ts'
import { readBy } from './prepared.ts'
import type { Tables } from './tables.ts'

export type Database = Kysely<Tables>
export type Transaction = KyselyTransaction<Tables>

const { builtins } = pg.types
const parseTimestamp = pg.types.getTypeParser(builtins.TIMESTAMPTZ, 'text') as (text: string) => Date

/** The general parser takes longer than most of our statements' other columns together; the session's zone is UTC. */
function timestampOf(text: string): Date {
  return /^\d{4}-.*\+00$/.test(text)
    ? new Date(`${text.slice(0, 10)}T${text.slice(11, -3)}Z`)
    : parseTimestamp(text)
}

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text') => {
    // count() and int8 come as strings otherwise; none of ours passes 2^53.
    if (oid === builtins.INT8) return Number
    if (oid === builtins.TIMESTAMPTZ && format !== ('binary' as string)) return timestampOf
    return pg.types.getTypeParser(oid, format)
  }) as pg.CustomTypesConfig['getTypeParser']
}

/** Bounds on every wait: to connect, to run, for a lock, and inside a transaction that forgot to end. */
const limits = {
  // Compiling a plan pays for minutes of work, not for milliseconds. A plan that looks at the parameters is made for each
  // execution, which takes longer than most of our statements run; only searches need one. Time zone and
  // date style are what `timestampOf` and lists expect.
  options: '-c jit=off -c plan_cache_mode=force_generic_plan -c timezone=UTC -c datestyle=ISO',
  connectionTimeoutMillis: 5_000,
  statement_timeout: 10_000,
  lock_timeout: 5_000,
  idle_in_transaction_session_timeout: 10_000,
  // Past the server's own limit: only a server that is gone without a word comes to this one.
  query_timeout: 15_000,
  keepAlive: true
}

/** Opens nothing until the first query. Close it with `destroy()`. */
export function createDatabase(
  connection: ConnectionOptions,
  options: { poolSize?: number; onConnectionError?: (error: Error) => void } = {}
): Database {
  const driver = new PostgresDriver(
    { application_name: 'latchkey', types, ...limits, ...connection },
    options.poolSize ?? 10,
    options.onConnectionError ?? (() => {})
  )
  const db = new Kysely<Tables>({
    dialect: {
      createDriver: () => driver,
      createAdapter: () => new PostgresAdapter(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler()
    }
  })
  readBy(db, driver)
  // Kysely closes a driver only if it has used it itself, and prepared reads go past it.
  const destroy = db.destroy.bind(db)
  db.destroy = async () => {
    await destroy()
    await driver.destroy()
  }
  return db
}

/**
 * Runs `work` in a transaction of its own, and again (three times at most) when Postgres ended it for the
 * sake of another one (a deadlock, a serialization failure). `work` must have no effect outside of it.
 * Given a transaction, runs in that one.
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

/** Serialises the callers of one name across all replicas until the transaction ends. */
export async function lockName(trx: Transaction, name: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`latchkey/${name}`}, 0))`.execute(trx)
}
