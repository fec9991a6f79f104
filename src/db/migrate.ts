import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Kysely, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { type Database, lockName } from './database.ts'

const folder = join(import.meta.dirname, '../../migrations')

/** Calls `failed` with the error of a migration: Kysely may throw a later one, of the aborted transaction. */
async function getMigrations(failed: (error: Error) => void): Promise<Record<string, Migration>> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.ts'))
  const entries = files.map(async (file): Promise<[string, Migration]> => {
    const { up } = (await import(pathToFileURL(join(folder, file)).href)) as Migration
    const name = file.replace(/\.ts$/, '')
    const upOrReport = async (db: Kysely<unknown>) => {
      try {
        await up(db)
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
 * because a migration may take long on a large table.
 */
export async function migrate(db: Database): Promise<string[]> {
  return db.transaction().execute(async (trx) => {
    await sql`set local statement_timeout = 0`.execute(trx)
    await sql`set local lock_timeout = '60s'`.execute(trx)
    await lockName(trx, 'migrate')
    let failed: Error | undefined
    const provider = {
      getMigrations: () =>
        getMigrations((error) => {
          failed = error
        })
    }
    const { error, results } = await new Migrator({ db: trx, provider }).migrateToLatest()
    if (error) throw failed ?? error
    return (results ?? []).map((result) => result.migrationName)
  })
}
