import { type Config, ConfigError } from '../config.ts'
import { type ConnectionOptions, createDatabase, type Database } from '../db/database.ts'
import { isDatabaseError } from '../db/errors.ts'
import { readRootKeys } from '../embedded/data-directory.ts'
import { hasDatabase } from '../embedded/directory.ts'
import { openEmbedded } from '../embedded/shared.ts'
import { reach } from '../reach.ts'
import type { RootKey } from '../root-keys/root-key.ts'

/** The options of the commands, for `parseArgs` and for the help. */
export const commandOptions = {
  'end-with-parent': {
    type: 'boolean',
    usage: '--end-with-parent',
    help: 'stop when the process that started this one ends'
  },
  json: { type: 'boolean', usage: '--json', help: 'print JSON' },
  from: {
    type: 'string',
    usage: '--from <position>:<hash>',
    help: 'verify only the events after this head, which you noted earlier'
  },
  'grant-to': {
    type: 'string',
    usage: '--grant-to <role>',
    help: 'grant this database role the rights to serve requests'
  },
  name: { type: 'string', usage: '--name <name>', help: 'name of the user; default: the part before the @' },
  admin: { type: 'boolean', usage: '--admin', help: 'make the user an administrator of the service' },
  'password-stdin': {
    type: 'boolean',
    usage: '--password-stdin',
    help: 'read the password from standard input; default: generate one and print it once'
  },
  recipient: {
    type: 'string',
    multiple: true,
    usage: '--recipient <age1…>',
    help: 'encrypt to this age recipient; can be repeated'
  },
  identity: {
    type: 'string',
    usage: '--identity <file>',
    help: 'file with the age identity that decrypts the backup; only you may read it (chmod 600)'
  }
} as const

export type OptionName = keyof typeof commandOptions

export interface CommandInput {
  argument: string
  /** The options that were given. */
  options: { readonly [Name in OptionName]?: ValueOf<(typeof commandOptions)[Name]> }
}

type ValueOf<Option> = Option extends { multiple: true }
  ? string[]
  : Option extends { type: 'string' }
    ? string
    : boolean

export interface Command {
  /** One line for the help. */
  description: string
  /** What docs/reference/cli.md adds, in Markdown. */
  details: string
  /** The argument, as shown in the help. */
  argument?: string
  /** A command line. */
  example: string
  options?: readonly OptionName[]
  /** If the reader of its output ends, such as `head`, the command ends too; others finish their work. */
  onlyPrints?: boolean
  run(config: Config, given: CommandInput): Promise<void>
}

interface DatabaseOptions extends ConnectionOptions {
  /** Connects as the role that owns the tables, if one is configured. */
  asOwner?: boolean
}

/**
 * Runs `work` on the database of the service. Opens the embedded database as the owner of its tables; if the
 * service is running, through the service's Postgres. Creates no database.
 */
export async function withDatabase<T>(
  { databaseUrl, migrationDatabaseUrl, dataDirectory }: Config,
  work: (db: Database) => Promise<T>,
  { asOwner = false, ...options }: DatabaseOptions = {}
): Promise<T> {
  if (databaseUrl === undefined) {
    await requireDatabase(dataDirectory)
    const { owner, stop } = await openEmbedded(dataDirectory)
    return runOn(createDatabase({ ...owner, ...options }), work).finally(stop)
  }
  const [connectionString, variable] =
    asOwner && migrationDatabaseUrl !== undefined
      ? [migrationDatabaseUrl, 'LATCHKEY_MIGRATION_DATABASE_URL']
      : [databaseUrl, 'DATABASE_URL']
  return runOn(createDatabase({ connectionString, ...options }), async (db) => {
    await reach(db, variable)
    return work(db)
  })
}

/** Returns the configured root keys, or those in the data directory. Throws ConfigError if there are none. */
export async function rootKeysOf({ rootKeys, dataDirectory }: Config): Promise<readonly RootKey[]> {
  const found = rootKeys ?? (await readRootKeys(dataDirectory))
  if (found) return found
  throw new ConfigError(
    'LATCHKEY_DATA_DIR',
    `contains no root.keys (${dataDirectory}): copy your root key there (chmod 600), or set ` +
      'LATCHKEY_ROOT_KEYS_FILE'
  )
}

async function requireDatabase(directory: string): Promise<void> {
  const found = await hasDatabase(directory).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(
      'LATCHKEY_DATA_DIR',
      `cannot be read (${error.code}): run the command as the user that runs the service`
    )
  })
  if (found) return
  throw new ConfigError(
    'LATCHKEY_DATA_DIR',
    `contains no database (${directory}): run it in the folder of the service, start the service once, ` +
      'or set DATABASE_URL'
  )
}

async function runOn<T>(db: Database, work: (db: Database) => Promise<T>): Promise<T> {
  try {
    return await work(db)
  } catch (error) {
    const isUndefined = isDatabaseError(error) && (error.code === '42P01' || error.code === '42703')
    if (!isUndefined) throw error
    throw new Error(
      `${error.message}: run "latchkey migrate" or start the service, which migrates the database`
    )
  } finally {
    await db.destroy()
  }
}
