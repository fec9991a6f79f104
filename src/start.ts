import { type Config, ConfigError } from './config.ts'
import { type ConnectionOptions, createDatabase, type Database } from './db/database.ts'
import { migrate, migrateForRoleOf } from './db/migrate.ts'
import { adminPasswordIn, prepareDataDirectory, rootKeysIn } from './embedded/data-directory.ts'
import { type EmbeddedPostgres, startEmbedded } from './embedded/postgres.ts'
import { installCatalogue } from './features/credential-types/install.ts'
import { openKeyring } from './features/keys/open-keyring.ts'
import { ensureAdministrator, hasUsers } from './features/users/service.ts'
import type { Services } from './services.ts'

export interface StartedServices extends Services {
  /** Set if this start created the first administrator, or if the password is in the data directory. */
  readonly administrator: { email: string; password: string | undefined } | undefined
  close(): Promise<void>
}

export interface StartupReporter {
  /** One line for the person who starts the service. */
  notice(line: string): void
  connectionError(error: Error): void
  /** The embedded Postgres ended by itself. */
  databaseEnded(): void
}

/**
 * Prepares the app's dependencies, in this order: the database (Postgres at `databaseUrl`, or the embedded
 * one), its tables, the data keys, the built-in types, the first administrator. Closes all of them if one
 * fails.
 */
export async function start(config: Config, reporter: StartupReporter): Promise<StartedServices> {
  const embedded = config.databaseUrl === undefined
  if (embedded) await prepareDataDirectory(config.dataDirectory)
  let postgres: EmbeddedPostgres | undefined
  let db: Database | undefined
  const close = async () => {
    await db?.destroy()
    await postgres?.stop()
  }
  try {
    // Root keys first: without the right ones, nothing is started or written.
    const rootKeys = config.rootKeys ?? (await embeddedRootKeys(config, reporter))
    if (embedded) {
      postgres = await startEmbedded({
        directory: config.dataDirectory,
        notice: reporter.notice,
        onExit: reporter.databaseEnded
      })
    }
    const connection = postgres?.service ?? { connectionString: config.databaseUrl! }
    db = createDatabase(connection, {
      connections: config.databaseConnections,
      onConnectionError: reporter.connectionError
    })
    await migrateTables(db, postgres?.owner ?? ownerOf(config), connection, reporter.notice)
    const keyring = await openKeyring(db, rootKeys)
    for (const { from, to } of await installCatalogue(db)) {
      reporter.notice(`A built-in type takes the name ${from}; the type that had it is now ${to}.`)
    }
    const administrator = await firstAdministrator(config, db, reporter)
    // Key rotation reads the root keys from the config.
    return { config: { ...config, rootKeys }, db, keyring, administrator, close }
  } catch (error) {
    await close()
    throw error
  }
}

const ownerOf = ({ migrationDatabaseUrl }: Config) =>
  migrationDatabaseUrl === undefined ? undefined : { connectionString: migrationDatabaseUrl }

/** Migrates as the owner of the tables, for the role of `db`; or as that role, if there is no other. */
async function migrateTables(
  db: Database,
  owner: ConnectionOptions | undefined,
  own: ConnectionOptions,
  notice: StartupReporter['notice']
) {
  const migrating = createDatabase(
    { ...(owner ?? own), query_timeout: 0, statement_timeout: '0' },
    { connections: 1 }
  )
  const migrated = owner ? migrateForRoleOf(db, migrating, notice) : migrate(migrating, notice)
  await migrated.finally(() => migrating.destroy())
}

async function embeddedRootKeys({ dataDirectory }: Config, reporter: StartupReporter) {
  const { keys, newFile } = await rootKeysIn(dataDirectory)
  if (newFile) {
    reporter.notice(
      `Made a root key in ${newFile}: without this file the stored values are lost; keep a copy elsewhere.`
    )
  }
  return keys
}

async function firstAdministrator(
  config: Config,
  db: Database,
  reporter: StartupReporter
): Promise<StartedServices['administrator']> {
  const embedded = config.databaseUrl === undefined
  const email = config.adminEmail ?? (embedded ? 'admin@latchkey.local' : undefined)
  const password =
    config.adminPassword ?? (embedded ? await adminPasswordIn(config.dataDirectory) : undefined)
  if (!email || !password) {
    if (await hasUsers(db)) return undefined
    throw new ConfigError(
      email ? 'LATCHKEY_ADMIN_PASSWORD' : 'LATCHKEY_ADMIN_EMAIL',
      'is needed for the first start on this database: it has no user yet'
    )
  }
  const created = await ensureAdministrator(db, { email, password })
  if (created) reporter.notice(`Made the first administrator, ${email}.`)
  return created || embedded ? { email, password: config.adminPassword ? undefined : password } : undefined
}
