import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Kysely, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { type Database, lockName } from './database.ts'

const folder = join(import.meta.dirname, '../../migrations')

/** `failed` is told what a step threw, before Kysely goes on in a transaction that Postgres has given up. */
async function getMigrations(failed: (error: Error) => void): Promise<Record<string, Migration>> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.ts'))
  const entries = files.map(async (file): Promise<[string, Migration]> => {
    const { up } = (await import(pathToFileURL(join(folder, file)).href)) as Migration
    const name = file.replace(/\.ts$/, '')
    const step = async (db: Kysely<unknown>) => {
      try {
        await up(db)
      } catch (error) {
        failed(new Error(`migration ${name}: ${(error as Error).message}`, { cause: error }))
        throw error
      }
    }
    return [name, { up: step }]
  })
  return Object.fromEntries(await Promise.all(entries))
}

/**
 * Brings the database to the newest step and gives the names of the steps that it ran; throws what failed,
 * with nothing changed. One transaction, with a lock that lasts until its commit: replicas that start
 * together queue. A step may take long on many rows: the database is to be one without a `query_timeout`.
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
