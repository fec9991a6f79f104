import { isIP } from 'node:net'
import { isAbsolute, resolve } from 'node:path'
import { cleanPassword, isAcceptable, MAX_PASSWORD, MIN_PASSWORD } from './crypto/passwords.ts'
import { CELL } from './crypto/tokens.ts'
import { urlsOfHosts } from './db/database-url.ts'
import { cleanEmail } from './emails.ts'
import { isVaultToken } from './root-keys/vault-transit.ts'

/** Parses the text of a variable. */
export interface Format<T> {
  /** Completes "NAME must be …". */
  readonly expected: string
  /**
   * Returns undefined for any other text, or throws a RangeError that completes "NAME cannot be used: …".
   * `untrimmed` is the text with its surrounding whitespace.
   */
  readonly parse: (text: string, untrimmed: string) => T | undefined
  /** The text may have several lines. */
  readonly isMultiline?: true
}

const matching = (pattern: RegExp, expected: string): Format<string> => ({
  expected,
  parse: (text) => (pattern.test(text) ? text : undefined)
})

export const integer = (min: number, max: number, expected: string): Format<number> => ({
  expected,
  parse: (text) => {
    const value = Number(text)
    return /^\d+$/.test(text) && value >= min && value <= max ? value : undefined
  }
})

export const oneOf = (values: readonly string[]): Format<string> => ({
  expected: `one of ${values.join(', ')}`,
  parse: (text) => (values.includes(text) ? text : undefined)
})

export const listOfKeys: Format<string> = {
  ...matching(/^/, 'a list of root keys, name:key[,name:key…]'),
  isMultiline: true
}

export const cell = matching(new RegExp(`^${CELL}$`), '1 to 12 lowercase letters and digits')

export const port = integer(0, 65_535, 'a port number from 0 to 65535')

const absolute = (text: string) => (isAbsolute(text) ? text : resolve(text))
export const filePath: Format<string> = { expected: 'the path of a file', parse: absolute }
export const directoryPath: Format<string> = { expected: 'the path of a directory', parse: absolute }

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/
export const host: Format<string> = {
  expected: 'an IP address or a host name',
  parse: (text) => (isIP(text) || HOST_NAME.test(text) ? text : undefined)
}

export const databaseUrl: Format<string> = {
  expected: 'a postgres:// or postgresql:// URL',
  parse: (text) => urlsOfHosts(text) && text
}

function parseOrigin(text: string): string | undefined {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol) || url.pathname !== '/' || url.host.includes('*'))
    return undefined
  return url.search || url.hash || url.username || url.password ? undefined : url.origin
}

export const origin: Format<string> = {
  expected: 'an http:// or https:// URL without a path',
  parse: parseOrigin
}

export const origins: Format<readonly string[]> = {
  expected: 'http:// or https:// origins, separated by commas',
  parse: (text) => {
    const parsed = text.split(',').map((entry) => parseOrigin(entry.trim()))
    return parsed.every((one) => one !== undefined) ? parsed : undefined
  }
}

export const trustedProxies: Format<boolean | number | string[]> = {
  expected: 'true, false, a number of proxies, or IP addresses and ranges, separated by commas',
  parse: (text) => {
    if (text === 'true' || text === 'false') return text === 'true'
    if (/^\d{1,2}$/.test(text)) return Number(text)
    const entries = text.split(',').map((entry) => entry.trim())
    return entries.every(isAddressRange) ? entries : undefined
  }
}

function isAddressRange(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0) return false
  return bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
}

export const email: Format<string> = {
  expected: 'an e-mail address such as name@example.org',
  parse: (text) => {
    const cleaned = cleanEmail(text)
    return 'text' in cleaned ? cleaned.text : undefined
  }
}

export const password: Format<string> = {
  expected: `a password of ${MIN_PASSWORD} to ${MAX_PASSWORD} characters`,
  // Leading and trailing spaces are part of a password.
  parse: (_, untrimmed) => {
    const cleaned = cleanPassword(untrimmed)
    return 'text' in cleaned && isAcceptable(cleaned.text) ? untrimmed : undefined
  }
}

// It carries data keys and the token, so it may lack TLS only on the same machine.
export const vaultAddress: Format<string> = {
  expected: 'a URL with https://, or with http:// and an address of this machine',
  parse: (text) => {
    const url = URL.parse(text)
    if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
      return undefined
    }
    const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
    return url.protocol === 'https:' || isLoopback ? url.origin + url.pathname.replace(/\/+$/, '') : undefined
  }
}

export const vaultNamespace = matching(
  /^[\w./-]{1,512}$/,
  'a path of letters, digits, dots, underscores and hyphens'
)

export const vaultToken: Format<string> = {
  expected: 'a token of ASCII characters without spaces',
  parse: (text) => (isVaultToken(text) ? text : undefined)
}
