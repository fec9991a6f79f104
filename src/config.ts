import type * as format from './config-formats.ts'
import * as groups from './config-variables.ts'
import { fileVariable, PAGE, type Variable, variables } from './config-variables.ts'
import { FileRefused, readSecret } from './private-file.ts'
import { parseRootKeys } from './root-keys/list.ts'
import type { RootKey } from './root-keys/root-key.ts'
import type { VaultSettings } from './root-keys/vault-transit.ts'

/** The variables that only have to be parsed, by the name of the setting. */
const settings = {
  ...groups.database,
  ...groups.administrator,
  ...groups.listening,
  ...groups.sessions,
  ...groups.limits,
  ...groups.keyRotation,
  ...groups.audit,
  ...groups.metrics
}

type ValuesOf<Group> = { readonly [Key in keyof Group]: Group[Key] extends Variable<infer T> ? T : never }

export interface Config extends ValuesOf<typeof settings> {
  /** Undefined if the root keys are in the data directory. */
  readonly rootKeys: readonly RootKey[] | undefined
  /** Variables whose name starts with LATCHKEY_ and that Latchkey does not read. */
  readonly unknownVariables: readonly string[]
}

/** A setting that stops the start. The message is one line that names the variable, without a secret. */
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
      'is required with DATABASE_URL (or LATCHKEY_ROOT_KEYS_FILE): set it to name:key, where key is 32 ' +
        'random bytes in base64 (openssl rand -base64 32)'
    )
  }
  if (values.migrationDatabaseUrl && !values.databaseUrl)
    throw new ConfigError(settings.migrationDatabaseUrl.name, 'requires DATABASE_URL')
  return Object.freeze({ ...values, rootKeys, unknownVariables: unknownVariables(env) })
}

// Kubernetes sets these variables in its containers if a Service is named "latchkey". The value of
// LATCHKEY_PORT is then a URL. A number is a mistake for PORT.
const SERVICE_LINK = /^LATCHKEY_(SERVICE_|PORT_|PORT=\w+:)/

function unknownVariables(env: NodeJS.ProcessEnv): string[] {
  const known = new Set(variables.map(({ name }) => name))
  return Object.entries(env)
    .filter(([name, value]) => !known.has(name) && !SERVICE_LINK.test(`${name}=${value}`))
    .map(([name]) => name)
    .filter((name) => name.startsWith('LATCHKEY_'))
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
  throw new ConfigError(name, `must ${isFile ? 'contain' : 'be'} ${format.expected}; see ${PAGE}`)
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
  const { name, text } = find(env, groups.rootKeys.list)
  if (text.trim() === '') return undefined
  try {
    return Object.freeze(parseRootKeys(text, () => readVaultSettings(env)))
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new ConfigError(name, `must be a list name:key[,name:key…]: ${error.message}`)
  }
}

function readVaultSettings(env: NodeJS.ProcessEnv): VaultSettings {
  const { address, token, tokenFile, namespace } = readAll(env, groups.vault)
  rejectBoth(groups.vault.token, token, groups.vault.tokenFile, tokenFile)
  const missing = (name: string) => new ConfigError(name, 'is required by a root key in Vault')
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
  throw new ConfigError(one.name, `and ${other.name} are both set; set only one of them`)
}

function readSecretFile(variable: string, path: string, { isMultiline }: format.Format<unknown>): string {
  try {
    return readSecret(path, isMultiline)
  } catch (error) {
    if (!(error instanceof FileRefused)) throw error
    throw new ConfigError(variable, `must name a private file: the file ${error.message}`)
  }
}
