import { type Database, inTransaction } from '../../db/database.ts'
import { isDatabaseError, isRetryable, isUnavailable } from '../../db/errors.ts'

/**
 * Runs `write`, which changes a credential and records the change in one statement. Runs it again in a
 * transaction if it returns undefined, because of a concurrent change, or if Postgres rejects the statement.
 * In a transaction it takes locks, and inserts the audit events in a separate statement, so that the error
 * shows which of the two failed. If `db` is a transaction, runs once in that.
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
