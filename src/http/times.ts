import { ValidationFailed } from './problems.ts'

/** The time that a caller sent; throws ValidationFailed for one that a clock never shows, such as a leap second. */
export function timeOf(text: string | null, path: string): Date | null {
  if (text === null) return null
  const time = new Date(text)
  const year = time.getUTCFullYear()
  if (year >= 1970 && year <= 9999) return time
  const message = 'This has to be a time from 1970 to 9999.'
  throw new ValidationFailed({ errors: [{ path, code: 'out-of-range', message }] })
}
