import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Transaction } from './database.ts'

/** The migrations of this version. */
export const MIGRATIONS = join(import.meta.dirname, '../../migrations')

/** Receives a line for the administrator. */
export type Notice = (line: string) => void

/** A file has exactly one of `up`, `indexes` and `batch`: see docs/operations/migrations.md. */
interface Exports {
  /** Changes the tables in one transaction. Its notices are for after the commit. */
  up?(db: Transaction, notice: Notice): Promise<void>
  /** Statements `create index concurrently NAME on …`. */
  indexes?: readonly string[]
  /**
   * Changes some rows in a transaction of its own and returns where the next batch starts, or undefined if
   * there is none. After a crash the first batch comes again, without `after`.
   */
  batch?(db: Transaction, after: string | undefined): Promise<string | undefined>
  /** The oldest version that works on the tables from then on. By default, it stays the one from before. */
  minVersion?: string
}

export interface MigrationFile extends Exports {
  name: string
}

/** Returns the files in the order in which they run. */
export async function readMigrations(folders: readonly string[]): Promise<MigrationFile[]> {
  const paths = (await Promise.all(folders.map(listFiles))).flat()
  const files = await Promise.all(paths.map(readMigration))
  return files.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function listFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder)
  return names.filter((name) => name.endsWith('.ts')).map((name) => join(folder, name))
}

async function readMigration(path: string): Promise<MigrationFile> {
  const { up, indexes, batch, minVersion }: Exports = await import(pathToFileURL(path).href)
  const name = path.replace(/^.*[\\/]|\.ts$/g, '')
  if ([up, indexes, batch].filter(Boolean).length !== 1)
    throw new Error(`migration ${name} has to export either up, indexes or batch`)
  return {
    name,
    ...(up && { up }),
    ...(indexes && { indexes }),
    ...(batch && { batch }),
    ...(minVersion && { minVersion })
  }
}
