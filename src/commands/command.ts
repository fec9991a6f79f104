import { type Config, ConfigError } from '../config.ts'
import { type ConnectionOptions, createDatabase, type Database } from '../db/database.ts'
import { isDatabaseError } from '../db/errors.ts'
import { hasDatabase } from '../embedded/directory.ts'
import { openEmbedded } from '../embedded/shared.ts'
import { reach } from '../reach.ts'

/** The options of the commands, as `parseArgs` takes them, and as the help shows them. */
export const commandOptions = {
  'end-with-parent': {
    type: 'boolean',
    usage: '--end-with-parent',
    help: 'stop when the process that started this one ends'
  },
  json: { type: 'boolean', usage: '--json', help: 'write JSON' },
  from: {
    type: 'string',
    usage: '--from <position>:<hash>',
    help: 'verify what follows this head, which was noted earlier'
  },
  'grant-to': { type: 'string', usage: '--grant-to <role>', help: 'the database role of the service' },
  name: { type: 'string', usage: '--name <name>', help: 'default: what is before the @' },
  admin: { type: 'boolean', usage: '--admin', help: 'an administrator of the service' },
  'password-stdin': {
    type: 'boolean',
    usage: '--password-stdin',
    help: 'read the password from standard input; default: generate it and print it once'
  },
  recipient: {
    type: 'string',
    multiple: true,
    usage: '--recipient <age1…>',
    help: 'encrypt to this recipient of age; several may be given'
  },
  identity: {
    type: 'string',
    usage: '--identity <file>',
    help: 'the private file of an identity of age, if the backup is encrypted'
  }
} as const

export type OptionName = keyof typeof commandOptions

export interface Given {
  argument: string
  /** Those of the command's options that were given. */
  options: { readonly [Name in OptionName]?: ValueOf<(typeof commandOptions)[Name]> }
}

type ValueOf<Option> = Option extends { multiple: true }
  ? string[]
  : Option extends { type: 'string' }
    ? string
    : boolean

export interface Command {
  description: string
  /** The argument, as shown in the help. */
  argument?: string
  options?: readonly OptionName[]
  run(config: Config, given: Given): Promise<void>
}

interface DatabaseOptions extends ConnectionOptions {
  /** Connects as the role that owns the tables, if there is one of its own. */
  asOwner?: boolean
}

/**
 * Runs `work` on the database of the service. The embedded one is opened as the owner of its tables; if a
 * service runs on it, in that service's Postgres. Makes no database.
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

async function requireDatabase(directory: string): Promise<void> {
  const found = await hasDatabase(directory).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(
      'LATCHKEY_DATA_DIR',
      `cannot be read (${error.code}): run the command as the user who runs the service`
    )
  })
  if (found) return
  throw new ConfigError(
    'LATCHKEY_DATA_DIR',
    `has no database (${directory}): the first start of the service makes one, and DATABASE_URL names another`
  )
}

async function runOn<T>(db: Database, work: (db: Database) => Promise<T>): Promise<T> {
  try {
    return await work(db)
  } catch (error) {
    const isUndefined = isDatabaseError(error) && (error.code === '42P01' || error.code === '42703')
    if (!isUndefined) throw error
    throw new Error(`${error.message}: run "latchkey migrate", or start the service, which does it first`)
  } finally {
    await db.destroy()
  }
}
