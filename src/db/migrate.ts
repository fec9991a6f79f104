import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Kysely, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { type Database, lockName, type Transaction } from './database.ts'
import { grantTo, whoIs } from './grants.ts'

const folder = join(import.meta.dirname, '../../migrations')

/** Receives a line about what a migration has changed in the data. */
type Notice = (line: string) => void

interface MigrationFile {
  up(db: Kysely<unknown>, notice: Notice): Promise<void>
}

/** Calls `failed` with the error of a migration: Kysely may throw a later one, of the aborted transaction. */
async function getMigrations(
  failed: (error: Error) => void = () => {},
  notice: Notice = () => {}
): Promise<Record<string, Migration>> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.ts'))
  const entries = files.map(async (file): Promise<[string, Migration]> => {
    const { up } = (await import(pathToFileURL(join(folder, file)).href)) as MigrationFile
    const name = file.replace(/\.ts$/, '')
    const upOrReport = async (db: Kysely<unknown>) => {
      try {
        await up(db, notice)
      } catch (error) {
        failed(new Error(`migration ${name}: ${(error as Error).message}`, { cause: error }))
        throw error
      }
    }
    return [name, { up: upOrReport }]
  })
  return Object.fromEntries(await Promise.all(entries))
}

/**
 * Runs all pending migrations in one transaction and returns their names. If one fails, throws its error and
 * changes nothing. Replicas that start together take turns, by a lock. `db` should have no `query_timeout`,
 * because a migration may take long on a large table. `notice` is called for what the administrator has to
 * know, after the commit.
 */
export function migrate(db: Database, notice?: Notice): Promise<string[]> {
  return inTurn(db, runPending, notice)
}

/** The same, and gives `role` the rights of `GRANTS`. `db` has to be connected as the owner of the tables. */
export function migrateFor(db: Database, role: string, notice?: Notice): Promise<string[]> {
  return inTurn(
    db,
    async (trx, note) => {
      const names = await runPending(trx, note)
      await grantTo(trx, role)
      return names
    },
    notice
  )
}

/** The same, for the role of `service`, which is another way to the same database. */
export async function migrateForRoleOf(service: Database, db: Database, notice?: Notice): Promise<string[]> {
  const [one, other] = await Promise.all([whoIs(service), whoIs(db)])
  if (one.database !== other.database)
    throw new Error(`migrations would run in the database ${other.database}, and requests in ${one.database}`)
  return migrateFor(db, one.role, notice)
}

async function inTurn<T>(
  db: Database,
  work: (trx: Transaction, note: Notice) => Promise<T>,
  notice: Notice = () => {}
): Promise<T> {
  const lines: string[] = []
  const result = await db.transaction().execute(async (trx) => {
    await requireUtf8(trx)
    await sql`set local statement_timeout = 0`.execute(trx)
    await sql`set local lock_timeout = '60s'`.execute(trx)
    await lockName(trx, 'migrate')
    return work(trx, (line) => lines.push(line))
  })
  for (const line of lines) notice(line)
  return result
}

/** Throws if the database cannot store all of Unicode. */
async function requireUtf8(trx: Transaction): Promise<void> {
  const { rows } = await sql<{ encoding: string }>`
    select current_setting('server_encoding') as encoding`.execute(trx)
  const [{ encoding }] = rows as [{ encoding: string }]
  if (encoding === 'UTF8') return
  throw new Error(
    `the database has the encoding ${encoding}, and the service needs UTF8: create it with ` +
      `"create database … template template0 encoding 'UTF8' locale 'C'"`
  )
}

async function runPending(trx: Transaction, note: Notice): Promise<string[]> {
  let failed: Error | undefined
  const provider = {
    getMigrations: () =>
      getMigrations((error) => {
        failed = error
      }, note)
  }
  const { may, begun } = await migrationRights(trx)
  if (!may) {
    await requireMigrated(trx, begun)
    return []
  }
  const { error, results } = await new Migrator({ db: trx, provider }).migrateToLatest()
  if (error) throw failed ?? error
  return (results ?? []).map((result) => result.migrationName)
}

/** Tells if this role may run migrations, and if any have run. */
async function migrationRights(trx: Transaction): Promise<{ may: boolean; begun: boolean }> {
  const { rows } = await sql<{ may: boolean; begun: boolean }>`
    select coalesce(has_table_privilege(to_regclass('kysely_migration'), 'insert'),
      has_schema_privilege(current_schema(), 'create'), false) as may,
      to_regclass('kysely_migration') is not null as begun`.execute(trx)
  return rows[0]!
}

/** Throws if the migrations that ran are not those of this version. */
async function requireMigrated(trx: Transaction, begun: boolean): Promise<void> {
  const { rows } = begun
    ? await sql<{ name: string }>`select name from kysely_migration`.execute(trx)
    : { rows: [] }
  const [known, ran] = [Object.keys(await getMigrations()), rows.map(({ name }) => name)]
  const pending = known.filter((name) => !ran.includes(name))
  const unknown = ran.filter((name) => !known.includes(name))
  if (pending.length > 0)
    throw new Error(`run "latchkey migrate" as the owner of the tables first: ${pending.join(', ')}`)
  if (unknown.length > 0) throw new Error(`a later version has migrated this database: ${unknown.join(', ')}`)
}
