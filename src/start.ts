import type { Config } from './config.ts'
import { type ConnectionOptions, createDatabase, type Database } from './db/database.ts'
import { requireFirstTables } from './db/first-tables.ts'
import { migrate, migrateForRoleOf, WITHOUT_LIMITS } from './db/migrate.ts'
import { makeRootKey, NotPrivate, prepareDataDirectory, readRootKeys } from './embedded/data-directory.ts'
import { hasDatabase } from './embedded/directory.ts'
import type { EmbeddedPostgres } from './embedded/postgres.ts'
import { startForService } from './embedded/shared.ts'
import { installCatalogue } from './features/credential-types/install.ts'
import { prepareKeyring, requireRootKeysInUse } from './features/keys/open-keyring.ts'
import { rootKeysInUse } from './features/keys/status.ts'
import { type FirstAdministrator, firstAdministrator, forgetChangedPassword } from './first-administrator.ts'
import { reach } from './reach.ts'
import type { RootKey } from './root-keys/root-key.ts'
import type { Services } from './services.ts'

export interface StartedServices extends Services {
  /** Set if this start created the first administrator, or if the database is the embedded one. */
  readonly administrator: FirstAdministrator | undefined
  close(): Promise<void>
}

export interface StartupReporter {
  /** Prints one line for the operator. */
  notice(line: string): void
  connectionError(error: Error): void
  /** The embedded Postgres ended unexpectedly. */
  databaseEnded(): void
}

/**
 * Prepares the app's dependencies, in this order: the database (Postgres at `databaseUrl`, or the embedded
 * one), its tables, the data keys, the built-in types, the first administrator. Closes all of them if one
 * fails.
 */
export async function start(config: Config, reporter: StartupReporter): Promise<StartedServices> {
  const { dataDirectory } = config
  const isEmbedded = config.databaseUrl === undefined
  if (isEmbedded) await prepareDataDirectory(dataDirectory)
  let postgres: EmbeddedPostgres | undefined
  let db: Database | undefined
  const close = async () => {
    await db?.destroy()
    await postgres?.stop()
  }
  const startPostgres = async () => {
    postgres ??= await startForService({
      directory: dataDirectory,
      notice: reporter.notice,
      onExit: reporter.databaseEnded
    })
    return postgres
  }
  try {
    // Root keys first: without the right ones, nothing is written.
    const rootKeys = config.rootKeys ?? (await embeddedRootKeys(dataDirectory, startPostgres, reporter))
    if (isEmbedded) await startPostgres()
    const connection = postgres?.service ?? { connectionString: config.databaseUrl! }
    db = createDatabase(connection, {
      connections: config.databaseConnections,
      onConnectionError: reporter.connectionError
    })
    const owner = postgres?.owner ?? ownerOf(config)
    await migrateTables(db, rootKeys, { owner, own: connection, notice: reporter.notice })
    const keyring = await prepareKeyring(db, rootKeys)
    for (const { from, to } of await installCatalogue(db)) {
      reporter.notice(`${from} is now a built-in type; your type of this name was renamed to ${to}.`)
    }
    const administrator = await firstAdministrator(config, db)
    if (administrator?.created) reporter.notice(`Created the first administrator, ${administrator.email}.`)
    const opened = db
    return {
      // Key rotation reads the root keys from the config.
      config: { ...config, rootKeys },
      db,
      keyring,
      administrator,
      close,
      passwordChanged: isEmbedded ? () => forgetChangedPassword(opened, dataDirectory) : undefined
    }
  } catch (error) {
    await close()
    throw error
  }
}

const ownerOf = ({ migrationDatabaseUrl }: Config) =>
  migrationDatabaseUrl === undefined ? undefined : { connectionString: migrationDatabaseUrl }

interface Migrating {
  owner: ConnectionOptions | undefined
  own: ConnectionOptions
  notice: StartupReporter['notice']
}

/**
 * Migrates as the owner of the tables for the role of `db`, or as that role if there is no owner. Throws
 * before any change if `rootKeys` lacks a root key that the data keys need.
 */
async function migrateTables(
  db: Database,
  rootKeys: readonly RootKey[],
  { owner, own, notice }: Migrating
): Promise<void> {
  // A migration holds one connection for writes; creating an index concurrently needs another.
  const migrating = createDatabase({ ...(owner ?? own), ...WITHOUT_LIMITS }, { connections: 5 })
  try {
    await reach(db, 'DATABASE_URL')
    if (owner) await reach(migrating, 'LATCHKEY_MIGRATION_DATABASE_URL')
    await requireFirstTables(migrating)
    await requireRootKeysInUse(migrating, rootKeys)
    await (owner ? migrateForRoleOf(db, migrating, { notice }) : migrate(migrating, { notice }))
  } finally {
    await migrating.destroy()
  }
}

/**
 * Reads the root keys in the data directory, or creates the first one. If the database needs a root key that
 * cannot be read there, changes nothing and throws an error with the key's fingerprint.
 */
async function embeddedRootKeys(
  directory: string,
  startPostgres: () => Promise<EmbeddedPostgres>,
  { notice }: StartupReporter
): Promise<readonly RootKey[]> {
  const isNew = !(await hasDatabase(directory))
  const found = await readRootKeys(directory).catch((error: Error) => error)
  if (found instanceof NotPrivate || (found instanceof Error && isNew)) throw found
  if (found !== undefined && !(found instanceof Error)) {
    if (isNew) notice(`The new database uses the root key in ${directory}/root.keys.`)
    return found
  }
  const needed = isNew ? [] : await fingerprintsIn(await startPostgres())
  if (needed.length > 0) {
    const fault = found?.message ?? 'LATCHKEY_DATA_DIR contains a database but no root.keys'
    throw new Error(
      `${fault}: restore your copy of ${directory}/root.keys, which has the fingerprint ${needed.join(', ')}`
    )
  }
  if (found) throw found
  const path = await makeRootKey(directory)
  notice(`Created a root key in ${path}. Keep a copy elsewhere: without it, all stored values are lost.`)
  return (await readRootKeys(directory))!
}

async function fingerprintsIn({ owner }: EmbeddedPostgres): Promise<string[]> {
  const db = createDatabase(owner, { connections: 1 })
  return rootKeysInUse(db).finally(() => db.destroy())
}
