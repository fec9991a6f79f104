import { resolve } from 'node:path'
import * as format from './config-formats.ts'
import { DEFAULT_CONNECTIONS } from './db/uses.ts'
import { FileRefused, readSecret } from './private-file.ts'
import { parseRootKeys } from './root-keys/list.ts'
import type { RootKey } from './root-keys/root-key.ts'
import type { VaultSettings } from './root-keys/vault-transit.ts'

/**
 * An environment variable: its name, the form of its text, its default, and its line in `latchkey --help`.
 */
interface Variable<T> {
  readonly name: string
  readonly format: format.Format<T>
  readonly fallback: T
  readonly description: string
  /** A secret can be in a file instead, which the variable NAME_FILE names. */
  readonly isSecret?: true
}

function variable<T>(name: string, form: format.Format<T>, fallback: T, description: string): Variable<T> {
  return { name, format: form, fallback, description }
}

function optional<T>(name: string, form: format.Format<T>, description: string): Variable<T | undefined> {
  return { name, format: form, fallback: undefined, description }
}

function secret<T>(name: string, form: format.Format<T>, description: string): Variable<T | undefined> {
  return { ...optional(name, form, description), isSecret: true }
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']
const days = (meaning: string) => format.integer(0, 3_650, `a whole number of days from ${meaning} to 3650`)

const requestsPerMinute = format.integer(0, 10_000_000, 'a whole number from 0 (no limit) to 10000000')

/** The variables that need only to be parsed, by the name of the setting. */
const settings = {
  databaseUrl: secret('DATABASE_URL', format.databaseUrl, 'Postgres to use; unset: the embedded one'),
  migrationDatabaseUrl: secret(
    'LATCHKEY_MIGRATION_DATABASE_URL',
    format.databaseUrl,
    "the same database as the tables' owner, who migrates; unset: the role of DATABASE_URL"
  ),
  databaseConnections: variable(
    'LATCHKEY_DATABASE_CONNECTIONS',
    format.integer(4, 1_000, 'a whole number from 4 to 1000'),
    DEFAULT_CONNECTIONS,
    'the most connections that a replica has to Postgres'
  ),
  dataDirectory: variable(
    'LATCHKEY_DATA_DIR',
    format.directoryPath,
    resolve('data'),
    'directory of the embedded Postgres and its keys'
  ),
  adminEmail: optional('LATCHKEY_ADMIN_EMAIL', format.email, 'e-mail address of the first administrator'),
  adminPassword: secret('LATCHKEY_ADMIN_PASSWORD', format.password, 'password of the first administrator'),
  host: variable('HOST', format.host, '127.0.0.1', 'address to listen on'),
  port: variable('PORT', format.port, 8080, 'port to listen on; 0 takes a free one'),
  publicOrigin: optional('PUBLIC_URL', format.origin, "origin as browsers see it; unset: the request's Host"),
  logLevel: variable('LOG_LEVEL', format.oneOf(LOG_LEVELS), 'info', LOG_LEVELS.join(', ')),
  cell: optional('LATCHKEY_CELL', format.cell, 'name of this cell, which its tokens begin with for a router'),
  sessionIdleMinutes: variable(
    'LATCHKEY_SESSION_IDLE_MINUTES',
    format.integer(1, 10_080, 'a whole number of minutes from 1 to 10080'),
    30,
    'a session ends after so long without a request'
  ),
  sessionMaxHours: variable(
    'LATCHKEY_SESSION_MAX_HOURS',
    format.integer(1, 720, 'a whole number of hours from 1 to 720'),
    12,
    'a session ends after so long in any case'
  ),
  callerRequestsPerMinute: variable(
    'LATCHKEY_CALLER_REQUESTS_PER_MINUTE',
    requestsPerMinute,
    12_000,
    'requests a minute of one user, or one project token; 0: no limit'
  ),
  addressRequestsPerMinute: variable(
    'LATCHKEY_ADDRESS_REQUESTS_PER_MINUTE',
    requestsPerMinute,
    1_200,
    'requests a minute from one address without a valid session or token; 0: no limit'
  ),
  trustProxy: variable('TRUST_PROXY', format.trustedProxies, false, 'proxies whose X-Forwarded-* to believe'),
  corsOrigins: variable('CORS_ORIGINS', format.origins, [], 'origins whose pages may call with the cookie'),
  dataKeyMaxDays: variable(
    'LATCHKEY_DATA_KEY_MAX_DAYS',
    days('0 (never)'),
    90,
    'age at which the data key is rotated; 0: only by "keys rotate"'
  ),
  dataKeyKeepDays: variable(
    'LATCHKEY_DATA_KEY_KEEP_DAYS',
    days('0'),
    30,
    'days for which a retired data key is kept'
  ),
  auditKeepDays: optional(
    'LATCHKEY_AUDIT_KEEP_DAYS',
    format.integer(1, 36_500, 'a whole number of days from 1 to 36500'),
    'days after which "audit archive" takes events out of the database; unset: never'
  ),
  metricsPort: optional('METRICS_PORT', format.port, 'port for Prometheus; unset: no metrics'),
  metricsHost: variable('METRICS_HOST', format.host, '127.0.0.1', 'address for Prometheus')
}

const rootKeySettings = {
  list: secret('LATCHKEY_ROOT_KEYS', format.listOfKeys, 'root keys, name:key[,name:key…]; the first wraps')
}

/** Read only if a root key is in Vault. The token's file is not read here: an agent renews it. */
const vaultSettings = {
  address: optional('VAULT_ADDR', format.vaultAddress, 'Vault or OpenBao, for its root keys'),
  token: optional('VAULT_TOKEN', format.vaultToken, 'token for Vault'),
  tokenFile: optional('VAULT_TOKEN_FILE', format.filePath, 'a file of the token instead, read at each use'),
  namespace: optional('VAULT_NAMESPACE', format.vaultNamespace, 'namespace in Vault')
}

/** All variables, for help and documentation. */
export const variables: readonly Variable<unknown>[] = [settings, rootKeySettings, vaultSettings]
  .flatMap((group) => Object.values<Variable<unknown>>(group))
  .flatMap((one) => (one.isSecret ? [one, fileVariable(one)] : [one]))

function fileVariable({ name }: Variable<unknown>): Variable<string | undefined> {
  return optional(`${name}_FILE`, format.filePath, `a private file of ${name} instead`)
}

type ValuesOf<Group> = { readonly [Key in keyof Group]: Group[Key] extends Variable<infer T> ? T : never }

export interface Config extends ValuesOf<typeof settings> {
  /** Undefined if the root keys are in the data directory. */
  readonly rootKeys: readonly RootKey[] | undefined
  /** Variables that are named as those of Latchkey are, and are none of them. */
  readonly unknownVariables: readonly string[]
}

/** A setting that stops the start. The message is one line, names the variable, and holds no secret. */
export class ConfigError extends Error {
  constructor(variable: string, expected: string) {
    super(`${variable} ${expected}`)
    this.name = 'ConfigError'
  }
}

/**
 * Reads and validates the whole configuration. An empty variable counts as unset. Throws a ConfigError for
 * the first variable that is invalid. (AWS's SDK reads its AWS_… variables itself.)
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const values = readAll(env, settings)
  const rootKeys = readRootKeys(env)
  if (values.databaseUrl && !rootKeys) {
    throw new ConfigError(
      'LATCHKEY_ROOT_KEYS',
      'is needed with DATABASE_URL: name:key, the key being 32 random bytes in base64 ' +
        '(openssl rand -base64 32); or LATCHKEY_ROOT_KEYS_FILE'
    )
  }
  if (values.migrationDatabaseUrl && !values.databaseUrl)
    throw new ConfigError(settings.migrationDatabaseUrl.name, 'is of use only with DATABASE_URL')
  return Object.freeze({ ...values, rootKeys, unknownVariables: unknownVariables(env) })
}

// Kubernetes sets these variables in its containers if a Service is named "latchkey".
const SERVICE_LINK = /^LATCHKEY_(SERVICE|PORT)(_|$)/

function unknownVariables(env: NodeJS.ProcessEnv): string[] {
  const known = new Set(variables.map(({ name }) => name))
  return Object.keys(env).filter(
    (name) => name.startsWith('LATCHKEY_') && !known.has(name) && !SERVICE_LINK.test(name)
  )
}

function readAll<Group extends Record<string, Variable<unknown>>>(env: NodeJS.ProcessEnv, group: Group) {
  const entries = Object.entries(group).map(([key, one]) => [key, read(env, one)])
  return Object.fromEntries(entries) as ValuesOf<Group>
}

function read<T>(env: NodeJS.ProcessEnv, variable: Variable<T>): T {
  const { format, fallback } = variable
  const { name, text, isFile } = find(env, variable)
  if (text.trim() === '') return fallback
  try {
    const value = format.parse(text.trim(), text)
    if (value !== undefined) return value
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new ConfigError(name, `cannot be used: ${error.message}`)
  }
  throw new ConfigError(name, `has to ${isFile ? 'hold' : 'be'} ${format.expected}`)
}

/** The text of a variable, and the name of the variable that gave it: NAME, or NAME_FILE if it is a file. */
function find(env: NodeJS.ProcessEnv, variable: Variable<unknown>) {
  const { name, isSecret } = variable
  const text = env[name] ?? ''
  const file = fileVariable(variable)
  const path = isSecret && read(env, file)
  if (!path) return { name, text, isFile: false }
  rejectBoth(variable, text.trim(), file, path)
  return { name: file.name, text: readSecretFile(file.name, path, variable.format), isFile: true }
}

function readRootKeys(env: NodeJS.ProcessEnv): readonly RootKey[] | undefined {
  const { name, text } = find(env, rootKeySettings.list)
  if (text.trim() === '') return undefined
  try {
    return Object.freeze(parseRootKeys(text, () => readVaultSettings(env)))
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new ConfigError(name, `has to be a list name:key[,name:key…]: ${error.message}`)
  }
}

function readVaultSettings(env: NodeJS.ProcessEnv): VaultSettings {
  const { address, token, tokenFile, namespace } = readAll(env, vaultSettings)
  rejectBoth(vaultSettings.token, token, vaultSettings.tokenFile, tokenFile)
  const missing = (name: string) => new ConfigError(name, 'is needed by a root key of the kind vault-transit')
  if (!address) throw missing('VAULT_ADDR')
  if (token) return { address, namespace, token: { value: token } }
  if (tokenFile) return { address, namespace, token: { file: tokenFile } }
  throw missing('VAULT_TOKEN (or VAULT_TOKEN_FILE)')
}

function rejectBoth(
  one: Variable<unknown>,
  value: unknown,
  other: Variable<unknown>,
  otherValue: unknown
): void {
  if (!value || !otherValue) return
  throw new ConfigError(one.name, `and ${other.name} are both set; only one of them may be`)
}

function readSecretFile(variable: string, path: string, { isMultiline }: format.Format<unknown>): string {
  try {
    return readSecret(path, isMultiline)
  } catch (error) {
    if (!(error instanceof FileRefused)) throw error
    throw new ConfigError(variable, `has to be a private file; this is one that ${error.message}`)
  }
}
