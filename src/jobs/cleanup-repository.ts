import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../db/database.ts'

const BATCH = 5_000

/** Deletes all expired rows, in batches, until `signal`. */
export async function deleteExpired(
  db: Database,
  sessionIdleMinutes: number,
  signal: AbortSignal
): Promise<void> {
  const idle = sql`last_seen_at < now() - make_interval(mins => ${sessionIdleMinutes})`
  const expired: [table: string, condition: RawBuilder<unknown>][] = [
    ['sessions', sql`expires_at < now() or ${idle}`],
    ['login_failures', sql`at < now() - interval '1 hour'`],
    ['idempotency_keys', sql`expires_at < now()`],
    ['audit_folds', sql`minute < floor(extract(epoch from now()) / 60) - 5`]
  ]
  // One caller alone can make more rows between two runs than a batch.
  for (const [table, condition] of expired)
    while (!signal.aborted && (await deleteBatch(db, table, condition)) >= BATCH) {}
}

/** Returns how many rows were deleted. */
async function deleteBatch(db: Database, name: string, condition: RawBuilder<unknown>): Promise<number> {
  const table = sql.table(name)
  const { numAffectedRows = 0n } = await sql`delete from ${table} where ctid = any(array(
    select ctid from ${table} where ${condition} limit ${BATCH}))`.execute(db)
  return Number(numAffectedRows)
}
