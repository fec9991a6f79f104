import type { Token } from './authenticator.ts'
import { canKeepNumbers, type ExactNumbers } from './exact-numbers.ts'
import type { Hooks } from './hooks.ts'
import { type AppInfo, parseAppInfo } from './user-agent.ts'

export interface LatchkeyOptions extends Hooks {
  /** The URL of the service, for example `https://latchkey.example.org`. */
  baseUrl: string
  /** Without a token, call `signIn`. */
  token?: Token | undefined
  fetch?: typeof fetch | undefined
  /** How often a failed request is sent again. Default 3, at most 100. */
  retries?: number | undefined
  /** The timeout of one attempt. Default 10, at most 3600. */
  attemptSeconds?: number | undefined
  /** No attempt starts after this time. Default 30, at most 86400. */
  totalSeconds?: number | undefined
  /** How long `resolve` may return cached values. Default 0, at most 300. */
  keepSeconds?: number | undefined
  /** How many credentials `resolve` caches. Default 1000, at most 100000. */
  keepMost?: number | undefined
  /**
   * How to return numbers that a double cannot represent, such as 64-bit ids: as text, or integers as BigInt
   * and others as text. By default they are rounded, as `JSON.parse` does. Not available in Node 20.
   */
  exactNumbers?: ExactNumbers | undefined
  /** Adds your program to the `User-Agent`, which the audit log records. Ignored in browsers. */
  appInfo?: AppInfo | undefined
}

// Default and maximum. Timers take at most 2^31-1 milliseconds.
const NUMBERS = {
  retries: [3, 100],
  attemptSeconds: [10, 3600],
  totalSeconds: [30, 86_400],
  keepSeconds: [0, 300],
  keepMost: [1000, 100_000]
} as const

const HOOKS = ['onRequest', 'onResponse', 'onRetry'] as const

export type Settings = Record<keyof typeof NUMBERS, number> & {
  baseUrl: string
  token: Token | undefined
  fetch: typeof fetch
  exactNumbers: ExactNumbers | undefined
  app: string | undefined
  hooks: Hooks
}

/** Checks the options and adds defaults. Throws a TypeError or RangeError that quotes no value. */
export function parseOptions(options: LatchkeyOptions): Settings {
  const { token, exactNumbers, fetch: customFetch = (...request) => fetch(...request) } = options
  if (typeof customFetch !== 'function') throw new TypeError('fetch must be a function')
  if (token !== undefined && typeof token !== 'string' && typeof token !== 'function')
    throw new TypeError('token must be a string or a function')
  if (exactNumbers !== undefined && !['string', 'bigint'].includes(exactNumbers))
    throw new TypeError("exactNumbers must be 'string' or 'bigint'")
  if (exactNumbers && !canKeepNumbers())
    throw new TypeError('exactNumbers needs JSON.parse with access to the source text, as in Node 22')
  const numbers = Object.entries(NUMBERS).map(([name, [fallback, max]]) => {
    const { [name as keyof typeof NUMBERS]: value = fallback } = options
    if (typeof value !== 'number') throw new TypeError(`${name} must be a number`)
    if (!Number.isFinite(value) || value < 0 || value > max)
      throw new RangeError(`${name} must be from 0 to ${max}`)
    return [name, value]
  })
  const hooks = Object.fromEntries(
    HOOKS.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]]))
  ) as Hooks
  if (!Object.values(hooks).every((hook) => typeof hook === 'function'))
    throw new TypeError(`${HOOKS.join(', ')} must be functions`)
  const app = parseAppInfo(options.appInfo)
  const baseUrl = parseBaseUrl(options.baseUrl)
  return { ...Object.fromEntries(numbers), baseUrl, token, fetch: customFetch, exactNumbers, app, hooks }
}

// Errors do not quote the URL: it may contain a password.
function parseBaseUrl(baseUrl: string): string {
  if (!URL.canParse(baseUrl)) throw new TypeError('baseUrl is not an absolute URL')
  const { protocol, username, password, search, hash, href } = new URL(baseUrl)
  if (!/^https?:$/.test(protocol)) throw new TypeError('baseUrl must begin with https:// or http://')
  if (username || password || search || hash)
    throw new TypeError('baseUrl must not have a user, password, query or fragment')
  return href
}
