import type { Token } from './credentials.ts'

export interface LatchkeyOptions {
  /** Where the service is, for example `https://latchkey.example.org`. */
  baseUrl: string
  /** Without one, the client is somebody who signs in. */
  token?: Token | undefined
  fetch?: typeof fetch | undefined
  /** How often a request is sent again, at the most: 3, if not said, and up to 100. */
  retries?: number | undefined
  /** For one attempt: 10, if not said, and up to 3600. */
  attemptSeconds?: number | undefined
  /** After this, no attempt begins: 30, if not said, and up to 86400. */
  totalSeconds?: number | undefined
  /** How long `resolve` may give values again that it was given: 0, if not said, and up to 300. */
  keepSeconds?: number | undefined
  /** Of how many credentials it keeps values, at the most: 1000, if not said, and up to 100000. */
  keepMost?: number | undefined
}

// What is said if nothing is, and the most that may be. Timers take 2^31-1 milliseconds at the most: no wait is longer.
const NUMBERS = {
  retries: [3, 100],
  attemptSeconds: [10, 3600],
  totalSeconds: [30, 86_400],
  keepSeconds: [0, 300],
  keepMost: [1000, 100_000]
} as const

export type Settings = Record<keyof typeof NUMBERS, number> & {
  baseUrl: string
  token: Token | undefined
  fetch: typeof fetch
}

/** The options with what was not said. Throws a TypeError or RangeError, which quotes none, for what cannot be meant. */
export function settingsOf(options: LatchkeyOptions): Settings {
  const { token, fetch: given = (...request) => fetch(...request) } = options
  if (typeof given !== 'function') throw new TypeError('fetch has to be a function')
  if (token !== undefined && typeof token !== 'string' && typeof token !== 'function')
    throw new TypeError('token has to be a string or a function')
  const numbers = Object.entries(NUMBERS).map(([name, [otherwise, most]]) => {
    const { [name as keyof typeof NUMBERS]: value = otherwise } = options
    if (typeof value !== 'number') throw new TypeError(`${name} has to be a number`)
    if (!Number.isFinite(value) || value < 0 || value > most)
      throw new RangeError(`${name} has to be from 0 to ${most}`)
    return [name, value]
  })
  return { ...Object.fromEntries(numbers), baseUrl: placeOf(options.baseUrl), token, fetch: given }
}

// Not quoted in the errors: somebody may have written a password into it.
function placeOf(baseUrl: string): string {
  if (!URL.canParse(baseUrl)) throw new TypeError('baseUrl is not an absolute URL')
  const { protocol, username, password, search, hash, href } = new URL(baseUrl)
  if (!/^https?:$/.test(protocol)) throw new TypeError('baseUrl has to begin with https:// or http://')
  if (username || password || search || hash)
    throw new TypeError('baseUrl has to be without a user, a query and a fragment')
  return href
}
