import pg from 'pg'

/** Postgres's own answer; false for errors of the connection itself. */
export function isDatabaseError(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError
}

/** Whether `error` is Postgres saying that this constraint (or unique index) does not hold. */
export function violates(error: unknown, constraint: string): boolean {
  return isDatabaseError(error) && error.code?.startsWith('23') === true && error.constraint === constraint
}

/** True for an error about one row's data: bad input, a constraint, a trigger (classes 22, 23, P0). */
export function isRowError(error: unknown): boolean {
  return isDatabaseError(error) && /^(22|23|P0)/.test(error.code ?? '')
}

const RETRYABLE = new Set(['40001', '40P01'])

/** A transaction that Postgres ended for the sake of another one. */
export function isRetryable(error: unknown): boolean {
  return isDatabaseError(error) && RETRYABLE.has(error.code ?? '')
}

// PostgreSQL appendix A: read-only, lock and statement time-outs, shutting down, starting, too many
// connections, disk full, out of memory, and the two of a lost race.
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
// pg and pg-pool give these no code.
const MESSAGES = new RegExp(
  `^(${[
    'Connection terminated',
    'timeout exceeded when trying to connect',
    'timeout expired',
    'Query read timeout',
    'Client has encountered a connection error',
    'Client was closed',
    'Cannot use a pool after',
    'timed out waiting for a batch to start'
  ].join('|')})`
)

/**
 * Whether the connection's prepared statement is not what it was: made under other columns (a migration has
 * changed them since), or never made, because the one that was to make it failed. Another connection makes it
 * anew.
 */
export function isStaleStatement(error: unknown): boolean {
  return (
    isDatabaseError(error) &&
    (error.code === '26000' || (error.code === '0A000' && error.routine === 'RevalidateCachedQuery'))
  )
}

// Shutting down, idle for too long (alone and in a transaction), and the connection's own.
const FATAL = /^(57P0|25P03|08)/

/** Whether the connection that gave this error is not to be used again. */
export function endsConnection(error: unknown): boolean {
  return !isDatabaseError(error) || FATAL.test(error.code ?? '') || isStaleStatement(error)
}

/** Whether the database is away, busy or refusing, so that the same request may succeed later. */
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
