import { ValidationFailed } from './problems.ts'

/**
 * Parses a time from the input. Throws ValidationFailed outside 1970 to 9999 and for invalid times, such as
 * leap seconds.
 */
export function timeOf(text: string | null, path: string): Date | null {
  if (text === null) return null
  const time = new Date(text)
  const year = time.getUTCFullYear()
  if (year >= 1970 && year <= 9999) return time
  const message = 'This has to be a time from 1970 to 9999.'
  throw new ValidationFailed({ errors: [{ path, code: 'out-of-range', message }] })
}
