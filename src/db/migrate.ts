import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { type Database, lockName } from './database.ts'

const folder = join(import.meta.dirname, '../../migrations')

async function getMigrations(): Promise<Record<string, Migration>> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.ts'))
  const entries = files.map(async (file): Promise<[string, Migration]> => {
    return [file.replace(/\.ts$/, ''), await import(pathToFileURL(join(folder, file)).href)]
  })
  return Object.fromEntries(await Promise.all(entries))
}

/**
 * Brings the database to the newest step and gives the names of the steps that it ran; throws what failed, with
 * nothing changed. One transaction, with a lock that lasts until its commit: replicas that start together queue. A step
 * may take long on many rows: the database is to be one without a `query_timeout`.
 */
export async function migrate(db: Database): Promise<string[]> {
  return db.transaction().execute(async (trx) => {
    await sql`set local statement_timeout = 0`.execute(trx)
    await sql`set local lock_timeout = '60s'`.execute(trx)
    await lockName(trx, 'migrate')
    const migrator = new Migrator({ db: trx, provider: { getMigrations } })
    const { error, results } = await migrator.migrateToLatest()
    if (error) throw error
    return (results ?? []).map((result) => result.migrationName)
  })
}
