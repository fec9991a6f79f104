import { ValidationFailed } from './problems.ts'

/** A date and time (RFC 3339, 5.6). Ajv's `date-time` also accepts offsets without minutes or a colon. */
const TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d)(?::?(\d\d))?$/i

/**
 * Parses a time from the input; a leap second is the second after it, as in POSIX. Throws ValidationFailed
 * outside 1970 to 9999.
 */
export function timeOf(text: string | null, path: string): Date | null {
  if (text === null) return null
  const [, day, minute, second, fraction = '', zone, minutes = '00'] = TIME.exec(text) ?? []
  const isLeap = second === '60'
  const offset = zone?.length === 3 ? `${zone}:${minutes}` : 'Z'
  const time = new Date(`${day}T${minute}:${isLeap ? '59' : second}${fraction}${offset}`)
  if (isLeap) time.setUTCSeconds(60, 0)
  const year = time.getUTCFullYear()
  if (year >= 1970 && year <= 9999) return time
  const message = 'This must be a time from 1970 to 9999.'
  throw new ValidationFailed({ errors: [{ path, code: 'out-of-range', message }] })
}

/** As `timeOf`, but returns undefined for undefined. */
export function optionalTime(text: string | undefined, path: string): Date | undefined {
  return text === undefined ? undefined : timeOf(text, path)!
}
