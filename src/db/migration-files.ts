import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Transaction } from './database.ts'

/** The migrations of this version. */
export const MIGRATIONS = join(import.meta.dirname, '../../migrations')

/** Receives a line for the operator. */
export type Notice = (line: string) => void

/** A file has exactly one of `up`, `indexes` and `batch`: see docs/operations/migrations.md. */
interface Exports {
  /** Changes the tables in one transaction. Its notices are shown after the commit. */
  up?(db: Transaction, notice: Notice): Promise<void>
  /** Statements `create index concurrently NAME on …`. */
  indexes?: readonly string[]
  /**
   * Changes some rows in a transaction of its own and returns the start of the next batch, or undefined after
   * the last one. After a crash, starts again with the first batch, without `after`.
   */
  batch?(db: Transaction, after: string | undefined): Promise<string | undefined>
  /** The oldest version that works with the tables after this migration. By default, it does not change. */
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
  // Compiled, in the npm package.
  return names.filter((name) => /\.[jt]s$/.test(name)).map((name) => join(folder, name))
}

async function readMigration(path: string): Promise<MigrationFile> {
  const { up, indexes, batch, minVersion }: Exports = await import(pathToFileURL(path).href)
  const name = path.replace(/^.*[\\/]|\.[jt]s$/g, '')
  if ([up, indexes, batch].filter(Boolean).length !== 1)
    throw new Error(`migration ${name} must export exactly one of up, indexes and batch`)
  return {
    name,
    ...(up && { up }),
    ...(indexes && { indexes }),
    ...(batch && { batch }),
    ...(minVersion && { minVersion })
  }
}
