import { type Database, inTransaction } from '../../db/database.ts'
import { isDatabaseError, isRetryable, isUnavailable } from '../../db/errors.ts'

/**
 * Runs `write`, which changes a credential and records that in one statement. If it returns undefined because
 * another change came first, or Postgres refuses the statement, runs it again in a transaction: there it
 * takes locks, and its audit events are a statement of their own, which tells what was refused. Given a
 * transaction, runs in that one.
 */
export async function atomicWrite<T>(
  db: Database,
  write: (db: Database) => Promise<T | undefined>
): Promise<T | undefined> {
  if (db.isTransaction) return write(db)
  try {
    const written = await write(db)
    if (written !== undefined) return written
  } catch (error) {
    const isRefused = isDatabaseError(error) && (isRetryable(error) || !isUnavailable(error))
    if (!isRefused) throw error
  }
  return inTransaction(db, write)
}
