import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient, sql } from 'kysely'
import type { Connection } from './connection.ts'
import { type Database, leaseOf, type Transaction } from './database.ts'
import type { Tables } from './tables.ts'

/** A transaction that may take hours, with the connection that it runs on, for `COPY`. */
export interface CopyTransaction {
  trx: Transaction
  connection: Pick<Connection, 'copyIn' | 'copyOut'>
}

const NO_LIMITS = [
  'statement_timeout',
  'transaction_timeout',
  'idle_in_transaction_session_timeout',
  'lock_timeout'
]

/**
 * Runs `work` on one snapshot of the database. Before the snapshot, locks these tables and their partitions
 * against being dropped or altered: a snapshot does not keep the rows of dropped or rewritten tables.
 */
export function readSnapshot<T>(
  db: Database,
  tables: readonly string[],
  work: (copy: CopyTransaction) => Promise<T>
): Promise<T> {
  return onConnection(db, (one, connection) =>
    one
      .transaction()
      .setIsolationLevel('repeatable read')
      .setAccessMode('read only')
      .execute(async (trx) => {
        // The first statement after it takes the snapshot.
        const all = sql.join(tables.map((name) => sql.table(name)))
        if (tables.length > 0) await sql`lock table ${all} in access share mode`.execute(trx)
        return withoutLimits(trx, () => work({ trx, connection }))
      })
  )
}

/** Runs `work` in a transaction that writes. */
export function writeCopies<T>(db: Database, work: (copy: CopyTransaction) => Promise<T>): Promise<T> {
  return onConnection(db, (one, connection) =>
    one.transaction().execute((trx) => withoutLimits(trx, () => work({ trx, connection })))
  )
}

async function withoutLimits<T>(trx: Transaction, work: () => Promise<T>): Promise<T> {
  // Not every version of Postgres has all of them.
  await sql`select set_config(name, '0', true) from pg_settings
    where name = any(${NO_LIMITS}::text[])`.execute(trx)
  return work()
}

async function onConnection<T>(
  db: Database,
  work: (one: Database, connection: Connection) => Promise<T>
): Promise<T> {
  const { connection, release } = await leaseOf(db)
  const client = {
    query: (text: string, values: readonly unknown[]) =>
      text === 'rollback' ? connection.rollback() : connection.send(text, values),
    release() {}
  } as unknown as PostgresPoolClient
  const pool: PostgresPool = {
    options: {} as PostgresPool['options'],
    connect: async () => client,
    end: async () => {}
  }
  try {
    return await work(new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }), connection)
  } finally {
    release()
  }
}
