import { existsSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase, type Database } from '../db/database.ts'
import { WITHOUT_LIMITS } from '../db/migrate.ts'
import { startEmbedded } from '../embedded/postgres.ts'

/** Runs `work` on an empty embedded database in a temporary directory, and then removes it. */
export async function withTemporaryDatabase<T>(work: (db: Database) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-verify-'))
  const remove = () => removeNow(directory)
  process.once('exit', remove)
  try {
    const postgres = await startEmbedded({ directory, durable: false })
    const db = createDatabase({ ...postgres.owner, ...WITHOUT_LIMITS })
    try {
      return await work(db)
    } finally {
      await db.destroy()
      await postgres.stop()
    }
  } finally {
    process.off('exit', remove)
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Removes a directory while a Postgres that is stopping may still write to it. */
function removeNow(directory: string): void {
  for (let attempt = 0; attempt < 100 && existsSync(directory); attempt++) {
    try {
      rmSync(directory, { recursive: true, force: true })
    } catch {
      // Postgres has added a file meanwhile.
    }
    if (existsSync(directory)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
  }
}
