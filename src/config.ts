import { isIP } from 'node:net'
import { isAbsolute, resolve } from 'node:path'
import { FileRefused, readPrivateFile } from './private-file.ts'
import { parseRootKeys } from './root-keys/list.ts'
import type { RootKey } from './root-keys/root-key.ts'
import { isVaultToken, type VaultSettings } from './root-keys/vault-transit.ts'

export interface Config {
  readonly databaseUrl: string | undefined
  readonly host: string
  readonly port: number
  /** Where the service is reached from outside, as an origin; unset: whatever the request's Host says. */
  readonly publicOrigin: string | undefined
  readonly logLevel: string
  readonly dataDirectory: string
  readonly rootKeys: readonly RootKey[] | undefined
  readonly adminEmail: string | undefined
  readonly adminPassword: string | undefined
  readonly sessionIdleMinutes: number
  readonly sessionMaxHours: number
  readonly trustProxy: boolean | number | string[]
  readonly corsOrigins: readonly string[]
  /** 0: the service makes no new data key by itself. */
  readonly dataKeyMaxDays: number
  readonly dataKeyKeepDays: number
  /** Unset: no metrics are served. */
  readonly metricsPort: number | undefined
  readonly metricsHost: string
}

/** A setting that stops the start. The message is one line, names the variable, and never holds its value. */
export class ConfigError extends Error {
  constructor(variable: string, expected: string) {
    super(`${variable} ${expected}`)
    this.name = 'ConfigError'
  }
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

/**
 * The configuration that these variables say, checked as a whole before anything starts. An empty variable is
 * an unset one. Throws a ConfigError for the first that is wrong. (AWS_… variables are for AWS's SDK, which reads
 * them itself when a root key is one of AWS KMS.)
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  function read<T>(name: string, fallback: T, parse: (text: string) => T | undefined, expected: string): T {
    const text = env[name]?.trim()
    if (!text) return fallback
    const value = parse(text)
    if (value === undefined) throw new ConfigError(name, `has to be ${expected}`)
    return value
  }
  const integer = (min: number, max: number) => (text: string) => {
    const value = Number(text)
    return /^\d+$/.test(text) && value >= min && value <= max ? value : undefined
  }

  const databaseUrl = read('DATABASE_URL', undefined, databaseUrlOf, 'a postgres:// or postgresql:// URL')
  const rootKeys = rootKeysOf()
  if (databaseUrl && !rootKeys) {
    throw new ConfigError(
      'LATCHKEY_ROOT_KEYS',
      'is needed with DATABASE_URL: name:key, the key being 32 random bytes in base64 (openssl rand -base64 32); or LATCHKEY_ROOT_KEYS_FILE'
    )
  }

  function rootKeysOf(): readonly RootKey[] | undefined {
    const list = read<string | undefined>('LATCHKEY_ROOT_KEYS', undefined, (text) => text, 'a list of keys')
    const file = read('LATCHKEY_ROOT_KEYS_FILE', undefined, pathOf, 'the path of a file')
    notBoth('LATCHKEY_ROOT_KEYS', list, 'LATCHKEY_ROOT_KEYS_FILE', file)
    const text = file ? privateTextOf('LATCHKEY_ROOT_KEYS_FILE', file) : list
    if (text === undefined) return undefined
    try {
      return Object.freeze(parseRootKeys(text, vaultOf))
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      throw new ConfigError(
        file ? 'LATCHKEY_ROOT_KEYS_FILE' : 'LATCHKEY_ROOT_KEYS',
        `has to be a list name:key[,name:key…]: ${error.message}`
      )
    }
  }

  function vaultOf(): VaultSettings {
    const missing = (name: string) =>
      new ConfigError(name, 'is needed by a root key of the kind vault-transit')
    const address = read('VAULT_ADDR', undefined, vaultAddressOf, 'https://, or http:// on this machine')
    const value = read('VAULT_TOKEN', undefined, vaultTokenOf, 'a token')
    const file = read('VAULT_TOKEN_FILE', undefined, pathOf, 'the path of a file')
    notBoth('VAULT_TOKEN', value, 'VAULT_TOKEN_FILE', file)
    if (!address) throw missing('VAULT_ADDR')
    if (!value && !file) throw missing('VAULT_TOKEN (or VAULT_TOKEN_FILE)')
    return {
      address,
      namespace: read('VAULT_NAMESPACE', undefined, vaultNamespaceOf, 'a path of names'),
      token: value ? { value } : { file: file! }
    }
  }

  return Object.freeze({
    databaseUrl,
    rootKeys,
    host: read('HOST', '127.0.0.1', hostOf, 'an IP address or a host name'),
    port: read('PORT', 8080, integer(0, 65_535), 'a port number from 0 to 65535'),
    publicOrigin: read('PUBLIC_URL', undefined, originOf, 'an http:// or https:// URL without a path'),
    logLevel: read('LOG_LEVEL', 'info', oneOf(LOG_LEVELS), `one of ${LOG_LEVELS.join(', ')}`),
    dataDirectory: read('LATCHKEY_DATA_DIR', resolve('data'), pathOf, 'the path of a directory'),
    adminEmail: read(
      'LATCHKEY_ADMIN_EMAIL',
      undefined,
      emailOf,
      'an e-mail address such as name@example.org'
    ),
    adminPassword: read(
      'LATCHKEY_ADMIN_PASSWORD',
      undefined,
      // As it was set: spaces at its ends are part of it.
      () => passwordOf(env.LATCHKEY_ADMIN_PASSWORD!),
      'a password of 12 to 256 characters'
    ),
    sessionIdleMinutes: read(
      'LATCHKEY_SESSION_IDLE_MINUTES',
      30,
      integer(1, 10_080),
      'a whole number of minutes from 1 to 10080'
    ),
    sessionMaxHours: read(
      'LATCHKEY_SESSION_MAX_HOURS',
      12,
      integer(1, 720),
      'a whole number of hours from 1 to 720'
    ),
    trustProxy: read<Config['trustProxy']>(
      'TRUST_PROXY',
      false,
      proxyOf,
      'true, false, a number of hops, or IP addresses and ranges with commas between'
    ),
    corsOrigins: read<readonly string[]>(
      'CORS_ORIGINS',
      [],
      originsOf,
      'http:// or https:// origins with commas between'
    ),
    dataKeyMaxDays: read(
      'LATCHKEY_DATA_KEY_MAX_DAYS',
      90,
      integer(0, 3_650),
      'a whole number of days from 0 (never) to 3650'
    ),
    dataKeyKeepDays: read(
      'LATCHKEY_DATA_KEY_KEEP_DAYS',
      30,
      integer(0, 3_650),
      'a whole number of days from 0 to 3650'
    ),
    metricsPort: read('METRICS_PORT', undefined, integer(0, 65_535), 'a port number from 0 to 65535'),
    metricsHost: read('METRICS_HOST', '127.0.0.1', hostOf, 'an IP address or a host name')
  })
}

function notBoth(one: string, ofOne: unknown, other: string, ofOther: unknown): void {
  if (ofOne && ofOther) throw new ConfigError(one, `and ${other} are both set; only one of them may be`)
}

function privateTextOf(variable: string, path: string): string {
  try {
    return readPrivateFile(path)
  } catch (error) {
    if (!(error instanceof FileRefused)) throw error
    throw new ConfigError(variable, `has to be a private file; this is one that ${error.message}`)
  }
}

const oneOf = (values: readonly string[]) => (text: string) => (values.includes(text) ? text : undefined)

function databaseUrlOf(text: string) {
  // A Unix socket's URL has no host: postgresql://user@/database?host=/directory
  const url = URL.parse(text.replace('@/', '@localhost/'))
  if (!url || !/^postgres(ql)?:$/.test(url.protocol)) return undefined
  // A `%` that was not written as `%25`, as in a password, fails only at the first connection otherwise.
  return /%(?![0-9a-f]{2})/i.test(text) ? undefined : text
}

// Data keys and the token travel over it: in clear only within the machine, to an agent or a proxy beside the service.
function vaultAddressOf(text: string) {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
    return undefined
  }
  const isHere = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  return url.protocol === 'https:' || isHere ? url.origin + url.pathname.replace(/\/+$/, '') : undefined
}

function vaultTokenOf(text: string) {
  return isVaultToken(text) ? text : undefined
}

function vaultNamespaceOf(text: string) {
  return /^[\w./-]{1,512}$/.test(text) ? text : undefined
}

function hostOf(text: string) {
  return isIP(text) || /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(text) ? text : undefined
}

function pathOf(text: string) {
  return isAbsolute(text) ? text : resolve(text)
}

// The format `email` of the sign-in's schema, so that whoever is made here can sign in.
const EMAIL =
  /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/i

function emailOf(text: string) {
  return text.length <= 320 && EMAIL.test(text) ? text : undefined
}

function passwordOf(text: string) {
  return text.length >= 12 && text.length <= 256 ? text : undefined
}

function originOf(text: string) {
  const url = URL.parse(text)
  return url &&
    /^https?:$/.test(url.protocol) &&
    url.pathname === '/' &&
    !url.search &&
    !url.hash &&
    !url.username &&
    !url.password &&
    !url.host.includes('*')
    ? url.origin
    : undefined
}

function originsOf(text: string) {
  const origins = text.split(',').map((entry) => originOf(entry.trim()))
  return origins.every((origin) => origin !== undefined) ? origins : undefined
}

function proxyOf(text: string): boolean | number | string[] | undefined {
  if (text === 'true' || text === 'false') return text === 'true'
  if (/^\d{1,2}$/.test(text)) return Number(text)
  const entries = text.split(',').map((entry) => entry.trim())
  const isRange = (entry: string) => {
    const [address, bits, ...rest] = entry.split('/')
    const version = isIP(address ?? '')
    return (
      version !== 0 &&
      rest.length === 0 &&
      (bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)))
    )
  }
  return entries.every(isRange) ? entries : undefined
}
