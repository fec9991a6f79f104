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

// Messages of connections that cannot be used.
export const STANDBY = 'The database is a standby: connect to the primary'
export const READ_ONLY = 'The database is read-only: connect to a server that accepts writes'
export const REPLACED = 'The database server was replaced by another one'
export const UNFIT_POOLER = 'The connection pooler cannot be used'

const IS_STANDBY = 'The database is a standby'
const IS_READ_ONLY = 'The database is read-only'
const NO_CONNECTION = 'The database has no free connection'
const UNREACHABLE = 'The database cannot be reached'
const STOPPING = 'The database is starting or stopping'
const REFUSED = 'The database rejected the connection'
const FULL = 'The database is out of disk space or memory'
const SLOW = 'The database did not respond in time'
const LOCKED = 'Another transaction holds a lock that this request needs'
const CHANGED = 'The tables of the database have just changed'

/**
 * The reason for each SQLSTATE after which the same request may succeed later (PostgreSQL, appendix A).
 */
const REASONS: Record<string, string> = {
  25006: IS_READ_ONLY,
  '25P03': SLOW,
  26000: CHANGED,
  28000: REFUSED,
  '28P01': REFUSED,
  '3D000': REFUSED,
  40001: LOCKED,
  '40P01': LOCKED,
  53000: FULL,
  53100: FULL,
  53200: FULL,
  53300: NO_CONNECTION,
  53400: NO_CONNECTION,
  '55P03': LOCKED,
  57014: SLOW,
  '57P01': STOPPING,
  '57P02': STOPPING,
  '57P03': STOPPING,
  '57P05': STOPPING
}
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

// Errors of pg, the pool and the batcher that have no code, by how their messages begin.
const MESSAGES: [start: string, reason: string][] = [
  [STANDBY, IS_STANDBY],
  [READ_ONLY, IS_READ_ONLY],
  [REPLACED, IS_STANDBY],
  [UNFIT_POOLER, REFUSED],
  ['timed out waiting for a connection', NO_CONNECTION],
  ['timed out waiting for a batch to start', SLOW],
  ['Query read timeout', SLOW],
  ['timeout exceeded when trying to connect', UNREACHABLE],
  ['Connection terminated', UNREACHABLE],
  ['Client has encountered a connection error', UNREACHABLE],
  ['Client was closed', UNREACHABLE],
  ['Cannot use a pool after', STOPPING]
]

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

/** True if the server or its pooler has no free connection. */
export function isShortOfConnections(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isShortOfConnections)
  return (
    isDatabaseError(error) &&
    (error.code === '53300' || error.code === '53400' || POOLER_FULL.test(error.message))
  )
}

// PgBouncer has no error code for it.
const POOLER_FULL = /^no more connections allowed|^client connections exceeded/

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

/** A connection cannot be opened, for a reason that in a statement would be a fault of the service. */
export class CannotConnect extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause })
    this.name = 'CannotConnect'
  }
}

/**
 * Returns why the database cannot serve a request that may succeed later, as a sentence without a full stop,
 * or undefined for any other error.
 */
export function unavailability(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if (error instanceof CannotConnect) return 'syscall' in (error.cause as Error) ? UNREACHABLE : REFUSED
  if (isShortOfConnections(error)) return NO_CONNECTION
  if (isStaleStatement(error)) return CHANGED
  if (isDatabaseError(error))
    return REASONS[error.code ?? ''] ?? (error.code?.startsWith('08') ? UNREACHABLE : undefined)
  if (error instanceof AggregateError) {
    // If a server responded, its reason says more than that the others are unreachable.
    const reasons = error.errors.map(unavailability).filter((reason) => reason !== undefined)
    return reasons.find((reason) => reason !== UNREACHABLE) ?? reasons[0]
  }
  const { code, syscall } = error as NodeJS.ErrnoException
  if (code !== undefined && NETWORK.has(code)) return syscall === 'open' ? undefined : UNREACHABLE
  return MESSAGES.find(([start]) => error.message.startsWith(start))?.[1]
}

/** True if the database is unreachable or busy, so that the same request may succeed later. */
export function isUnavailable(error: unknown): boolean {
  return unavailability(error) !== undefined
}
