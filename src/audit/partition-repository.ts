import { sql } from 'kysely'
import type { Database } from '../db/database.ts'

/** Makes partitions of so many days ahead of the time. */
export async function extendPartitions(db: Database, days: number): Promise<void> {
  await sql`select audit_extend(${days}::int)`.execute(db)
}

/** Returns in how many seconds the last partition begins, the one without an end. */
export async function findPartitionsAhead(db: Database): Promise<number> {
  const { rows } = await sql<{ seconds: number }>`
    select extract(epoch from audit_time_of(from_id) - now())::float8 as seconds
    from audit_partitions where parent = 'audit_log' and to_id is null`.execute(db)
  return rows[0]!.seconds
}

/** Returns the age of the oldest event in seconds; 0 if there is none. */
export async function findOldestAge(db: Database): Promise<number> {
  const { rows } = await sql<{ seconds: number }>`
    select coalesce(extract(epoch from now() - audit_time_of(
      (select id from audit_log order by id limit 1)))::float8, 0) as seconds`.execute(db)
  return rows[0]!.seconds
}
