import pg from 'pg'

/** True for errors that Postgres reports; false for errors of the connection itself. */
export function isDatabaseError(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError
}

/** True if the error is a violation of this constraint or unique index. */
export function violates(error: unknown, constraint: string): boolean {
  return isDatabaseError(error) && error.code?.startsWith('23') === true && error.constraint === constraint
}

/** True for an error about one row's data: bad input, a constraint, a trigger (classes 22, 23, P0). */
export function isRowError(error: unknown): boolean {
  return isDatabaseError(error) && /^(22|23|P0)/.test(error.code ?? '')
}

const RETRYABLE = new Set(['40001', '40P01'])

/** True for a deadlock or serialization failure, after which the transaction can be retried. */
export function isRetryable(error: unknown): boolean {
  return isDatabaseError(error) && RETRYABLE.has(error.code ?? '')
}

/** True if a statement waited for a lock until its `lock_timeout`. */
export function isLockTimeout(error: unknown): boolean {
  return isDatabaseError(error) && error.code === '55P03'
}

// PostgreSQL appendix A: read-only, lock and statement time-outs, shutting down, starting, too many
// connections, disk full, out of memory, deadlock, serialization failure, no such database, wrong password.
const UNAVAILABLE = new Set([
  '25006',
  '55P03',
  '57014',
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  '53000',
  '53100',
  '53200',
  '53300',
  '53400',
  '25P03',
  '40001',
  '40P01',
  '3D000',
  '28000',
  '28P01'
])
const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ECONNABORTED'
])
/** The message of a connection that was closed because its server is a standby. */
export const STANDBY = 'The database server is a standby: connect to the primary.'
export const READ_ONLY = 'The database is read-only.'

// Errors of pg, the pools and the batcher that have no code.
const MESSAGES = new RegExp(
  `^(${[
    'Connection terminated',
    'timeout exceeded when trying to connect',
    'timeout expired',
    'Query read timeout',
    'Client has encountered a connection error',
    'Client was closed',
    'Cannot use a pool after',
    'timed out waiting for a batch to start',
    STANDBY,
    READ_ONLY
  ].join('|')})`
)

/**
 * True if the connection's prepared statement is outdated, because a migration changed its columns, or
 * missing, because preparing it failed. A new connection prepares it again.
 */
export function isStaleStatement(error: unknown): boolean {
  return (
    isDatabaseError(error) &&
    (error.code === '26000' || (error.code === '0A000' && error.routine === 'RevalidateCachedQuery'))
  )
}

/** True if a statement was refused because its server is read-only. */
export function isReadOnly(error: unknown): boolean {
  return isDatabaseError(error) && error.code === '25006'
}

// Shutting down, read-only, idle time-outs (of sessions and transactions), and connection exceptions.
const FATAL = /^(57P0|25006|25P03|08)/

/** True if the connection that raised this error must not be used again. */
export function endsConnection(error: unknown): boolean {
  return !isDatabaseError(error) || FATAL.test(error.code ?? '') || isStaleStatement(error)
}

/** True if the database is unreachable or busy, so that the same request may succeed later. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (isDatabaseError(error))
    return (
      UNAVAILABLE.has(error.code ?? '') || error.code?.startsWith('08') === true || isStaleStatement(error)
    )
  const { code, syscall } = error as NodeJS.ErrnoException
  if (code !== undefined && NETWORK.has(code)) return syscall !== 'open'
  if (error instanceof AggregateError) return error.errors.some(isUnavailable)
  return MESSAGES.test(error.message)
}
