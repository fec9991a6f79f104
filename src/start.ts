import { type Config, ConfigError } from './config.ts'
import { createDatabase, type Database } from './db/database.ts'
import { migrate } from './db/migrate.ts'
import { adminPasswordIn, prepareDataDirectory, rootKeysIn } from './embedded/data-directory.ts'
import { type EmbeddedPostgres, startEmbedded } from './embedded/postgres.ts'
import { installCatalogue } from './features/credential-types/install.ts'
import { openKeyring } from './features/keys/open-keyring.ts'
import { ensureAdministrator } from './features/users/service.ts'
import type { Services } from './services.ts'

export interface Started extends Services {
  /** The first administrator, when this start made it, or when its password is the one kept in the data directory. */
  readonly administrator: { email: string; password: string | undefined } | undefined
  close(): Promise<void>
}

/** What is told to the person who starts the service; `failed` when the embedded server ends by itself. */
export interface Told {
  notice(line: string): void
  connectionError(error: Error): void
  databaseEnded(): void
}

/**
 * Makes all that the service stands on, in the order in which each needs the one before: the database (Postgres at
 * `databaseUrl`, or the embedded one), its tables, the keys, the built-in types, the first administrator. Throws with
 * everything closed again.
 */
export async function start(config: Config, told: Told): Promise<Started> {
  const embedded = config.databaseUrl === undefined
  if (embedded) await prepareDataDirectory(config.dataDirectory)
  let postgres: EmbeddedPostgres | undefined
  let db: Database | undefined
  const close = async () => {
    await db?.destroy()
    await postgres?.stop()
  }
  try {
    // Keys first: with wrong ones nothing is started, let alone written.
    const rootKeys = config.rootKeys ?? (await embeddedRootKeys(config, told))
    if (embedded) {
      postgres = await startEmbedded({
        directory: config.dataDirectory,
        notice: told.notice,
        onExit: told.databaseEnded
      })
    }
    const connection = postgres?.connection ?? { connectionString: config.databaseUrl! }
    db = createDatabase(connection, { onConnectionError: told.connectionError })
    const migrating = createDatabase({ ...connection, query_timeout: 0 }, { poolSize: 1 })
    await migrate(migrating).finally(() => migrating.destroy())
    const keyring = await openKeyring(db, rootKeys)
    for (const { from, to } of await installCatalogue(db)) {
      told.notice(`A built-in type takes the name ${from}; the type that had it is now ${to}.`)
    }
    const administrator = await firstAdministrator(config, db, told)
    // With the root keys, wherever they came from: the service makes new data keys while it runs.
    return { config: { ...config, rootKeys }, db, keyring, administrator, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function embeddedRootKeys(config: Config, told: Told) {
  const { keys, made } = await rootKeysIn(config.dataDirectory)
  if (made)
    told.notice(
      `Made a root key in ${made}: without this file the stored values are lost; keep a copy elsewhere.`
    )
  return keys
}

async function firstAdministrator(
  config: Config,
  db: Database,
  told: Told
): Promise<Started['administrator']> {
  const embedded = config.databaseUrl === undefined
  const email = config.adminEmail ?? (embedded ? 'admin@latchkey.local' : undefined)
  const password =
    config.adminPassword ?? (embedded ? await adminPasswordIn(config.dataDirectory) : undefined)
  if (!email || !password) {
    const row = await db.selectFrom('users').select('id').limit(1).executeTakeFirst()
    if (!row) {
      throw new ConfigError(
        email ? 'LATCHKEY_ADMIN_PASSWORD' : 'LATCHKEY_ADMIN_EMAIL',
        'is needed for the first start on this database: it has no user yet'
      )
    }
    return undefined
  }
  const made = await ensureAdministrator(db, { email, password })
  if (made) told.notice(`Made the first administrator, ${email}.`)
  return made || embedded ? { email, password: config.adminPassword ? undefined : password } : undefined
}
