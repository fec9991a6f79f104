import { sql } from 'kysely'
import { type Database, inTransaction } from '../db/database.ts'

/** Creates partitions of this many days in advance. */
export async function extendPartitions(db: Database, days: number): Promise<void> {
  // In a transaction, because a select outside of one uses a connection for reads, and this waits for locks.
  await inTransaction(db, (trx) => sql`select audit_extend(${days}::int)`.execute(trx))
}

/** Returns the seconds until the last partition begins, which has no end. */
export async function findPartitionsAhead(db: Database): Promise<number> {
  const { rows } = await sql<{ seconds: number }>`
    select extract(epoch from audit_time_of(from_id) - now())::float8 as seconds
    from audit_partitions where parent = 'audit_log' and to_id is null`.execute(db)
  return rows[0]!.seconds
}

/** Returns for how many seconds a partition older than `keepDays` has been waiting to be archived, or 0. */
export async function findArchiveLag(db: Database, keepDays: number): Promise<number> {
  const { rows } = await sql<{ seconds: number }>`
    select coalesce(max(extract(epoch from due - audit_time_of(to_id))::float8), 0) as seconds
    from audit_partitions, lateral (select now() - make_interval(days => ${keepDays} + 1) as due) time
    -- In the place of dropped ones, there is one for events that were not exported with them.
    where parent = 'audit_log' and name not like 'audit_log_before_%'
      and audit_time_of(to_id) <= due`.execute(db)
  return rows[0]!.seconds
}
