import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../db/database.ts'

const BATCH = 5_000

/** Deletes expired rows, at most one batch per table; of the counts of denials all, until `signal`. */
export async function deleteExpired(
  db: Database,
  sessionIdleMinutes: number,
  signal: AbortSignal
): Promise<void> {
  const idle = sql`last_seen_at < now() - make_interval(mins => ${sessionIdleMinutes})`
  await deleteBatch(db, 'sessions', sql`expires_at < now() or ${idle}`)
  await deleteBatch(db, 'login_failures', sql`at < now() - interval '1 hour'`)
  await deleteBatch(db, 'idempotency_keys', sql`expires_at < now()`)
  // One caller alone can make more of them than a batch.
  const isOver = sql`minute < floor(extract(epoch from now()) / 60) - 5`
  while (!signal.aborted && (await deleteBatch(db, 'audit_folds', isOver)) >= BATCH) {}
}

/** Returns how many rows were deleted. */
async function deleteBatch(db: Database, name: string, condition: RawBuilder<unknown>): Promise<number> {
  const table = sql.table(name)
  const { numAffectedRows = 0n } = await sql`delete from ${table} where ctid = any(array(
    select ctid from ${table} where ${condition} limit ${BATCH}))`.execute(db)
  return Number(numAffectedRows)
}
