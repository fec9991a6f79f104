import { ValidationFailed } from './problems.ts'

/** The last second of a minute that has a leap second (RFC 3339, 5.6). */
const LEAP_SECOND = /(T\d\d:\d\d):60/i

/**
 * Parses a time from the input; a leap second is the second after it, as in POSIX. Throws ValidationFailed
 * outside 1970 to 9999.
 */
export function timeOf(text: string | null, path: string): Date | null {
  if (text === null) return null
  const time = new Date(text.replace(LEAP_SECOND, '$1:59'))
  if (LEAP_SECOND.test(text)) time.setUTCSeconds(60, 0)
  const year = time.getUTCFullYear()
  if (year >= 1970 && year <= 9999) return time
  const message = 'This has to be a time from 1970 to 9999.'
  throw new ValidationFailed({ errors: [{ path, code: 'out-of-range', message }] })
}
