import type { Database } from '../../../db/database.ts'
import { violates } from '../../../db/errors.ts'
import { NotFound } from '../../../http/problems.ts'

/** Lists usages, oldest first. With a project, only those that were registered for it. */
export function listUsages(db: Database, credentialId: string, projectId: string | null) {
  return db
    .selectFrom('credential_usages')
    .where('credential_id', '=', credentialId)
    .$if(projectId !== null, (query) => query.where('project_id', '=', projectId))
    .select(['consumer', 'project_id', 'created_at'])
    .orderBy('created_at')
    .orderBy('consumer')
    .execute()
}

/**
 * Registers that a consumer depends on the credential; `project_id` is null if the owner registers it.
 * Returns the usage; `isNew` is true if it was inserted. Throws NotFound if the credential was deleted in the
 * meantime.
 */
export async function putUsage(
  db: Database,
  usage: { credential_id: string; consumer: string; project_id: string | null }
) {
  const columns = ['consumer', 'project_id', 'created_at'] as const
  try {
    const inserted = await db
      .insertInto('credential_usages')
      .values(usage)
      .onConflict((conflict) => conflict.columns(['credential_id', 'consumer', 'project_id']).doNothing())
      .returning(columns)
      .executeTakeFirst()
    if (inserted) return { usage: inserted, isNew: true }
  } catch (error) {
    throw violates(error, 'credential_usages_credential_id_fkey') ? new NotFound() : error
  }
  const existing = await db
    .selectFrom('credential_usages')
    .where('credential_id', '=', usage.credential_id)
    .where('consumer', '=', usage.consumer)
    .where('project_id', 'is not distinct from', usage.project_id)
    .select(columns)
    .executeTakeFirst()
  // The usage was deleted in the meantime.
  if (!existing) throw new NotFound()
  return { usage: existing, isNew: false }
}

/** Deletes a usage. With a project, only one that was registered for it. Returns false if there was none. */
export async function deleteUsage(
  db: Database,
  credentialId: string,
  consumer: string,
  projectId: string | null
): Promise<boolean> {
  const result = await db
    .deleteFrom('credential_usages')
    .where('credential_id', '=', credentialId)
    .where('consumer', '=', consumer)
    .$if(projectId !== null, (query) => query.where('project_id', '=', projectId))
    .executeTakeFirst()
  return result.numDeletedRows > 0n
}

/** Lists the consumers of a credential, by name, up to a hundred. */
export async function listConsumers(db: Database, credentialId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('credential_usages')
    .where('credential_id', '=', credentialId)
    .select('consumer')
    .distinct()
    .orderBy('consumer')
    .limit(100)
    .execute()
  return rows.map((row) => row.consumer)
}
