import { sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import { violates } from '../../db/sqlstate.ts'
import { NotFound } from '../../errors.ts'

export function listUsages(db: Database, credentialId: string) {
  return db
    .selectFrom('credential_usages')
    .where('credential_id', '=', credentialId)
    .select(['consumer', 'project_id', 'created_at'])
    .orderBy('created_at')
    .orderBy('consumer')
    .execute()
}

/**
 * Says that the consumer depends on the credential; once said, it stays as it was first said. A delete of the
 * credential that is under way wins or loses as a whole: NotFound, or refused.
 */
export async function putUsage(
  db: Database,
  usage: { credential_id: string; consumer: string; project_id: string | null }
) {
  try {
    return await db
      .insertInto('credential_usages')
      .values(usage)
      // Changes nothing, so that the row that is there is given back.
      .onConflict((conflict) =>
        conflict
          .columns(['credential_id', 'consumer'])
          .doUpdateSet({ consumer: sql<string>`excluded.consumer` })
      )
      .returning(['consumer', 'project_id', 'created_at'])
      .executeTakeFirstOrThrow()
  } catch (error) {
    throw violates(error, 'credential_usages_credential_id_fkey') ? new NotFound() : error
  }
}

/** Gives whether the consumer was registered. */
export async function deleteUsage(db: Database, credentialId: string, consumer: string): Promise<boolean> {
  const result = await db
    .deleteFrom('credential_usages')
    .where('credential_id', '=', credentialId)
    .where('consumer', '=', consumer)
    .executeTakeFirst()
  return result.numDeletedRows > 0n
}
