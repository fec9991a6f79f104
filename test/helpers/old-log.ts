import { sql } from 'kysely'
import type { Test } from 'tap'
import { archiveEvents } from '../../src/audit/archive.ts'
import { sealEvents } from '../../src/audit/chain.ts'
import { newSigningKey, SigningKey } from '../../src/crypto/signing.ts'
import type { Database } from '../../src/db/database.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { runCli } from './cli.ts'
import { createTestDatabase } from './database.ts'
import { createFirstDataKey } from './keys.ts'
import { divideLog } from './partitions.ts'

/**
 * Creates a database whose audit log has partitions of 30 days, beginning 90 days ago, and no events. It has
 * a data key, as after a start of the service.
 */
export async function oldLog(t: Test) {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const { db } = database
  await divideLog(db, [90, 60, 30])
  const rootKey = newRootKey('test')
  await createFirstDataKey(db, rootKey)
  const env = {
    DATABASE_URL: database.ownerUrl,
    LATCHKEY_ROOT_KEYS: rootKey,
    LATCHKEY_AUDIT_KEEP_DAYS: '45'
  }
  const directory = t.testdir()
  const latchkey = (...words: string[]) => runCli(env, words)
  const archive = (options: { directory?: string; keepDays?: number; signer?: SigningKey } = {}) =>
    archiveEvents(db, { directory, keepDays: 45, signer: new SigningKey(newSigningKey()), ...options })
  const ages = async () => {
    const { rows } = await sql<{ age: number }>`select details->'age' as age from audit_log
      where action = 'test.aged' order by occurred_at`.execute(db)
    return rows.map(({ age }) => age)
  }
  return { ...database, env, rootKey, directory, latchkey, archive, ages }
}

/** Settles and seals all events. */
export async function seal(db: Database): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await sql`set local session_replication_role = replica`.execute(trx)
    await sql`update audit_unsealed set settled_at = now()`.execute(trx)
  })
  await sealEvents(db)
}
