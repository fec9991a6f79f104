import type { FastifyRequest } from 'fastify'
import type { Database } from '../../db/database.ts'
import { isDatabaseError, isRetryable, isUnavailable } from '../../db/errors.ts'

/**
 * Runs `write`, which changes a credential and records the change in one statement. Runs it again in a
 * caller transaction if it returns undefined, because of a concurrent change or because the caller's access
 * has ended, or if Postgres rejects the statement. In a transaction it takes locks, and inserts the audit
 * events in a separate statement, so that the error shows which of the two failed. If `db` is a transaction,
 * runs once in that.
 */
export async function atomicWrite<T>(
  request: FastifyRequest,
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
  return request.server.inCallerTransaction(request, write)
}
