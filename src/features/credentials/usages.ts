import type { Database } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { NotFound } from '../../http/problems.ts'

/** Oldest first; with a project, only those that were registered for that one. */
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
 * Says that the consumer depends on the credential, for the project or, by the owner, for none; gives the usage, and
 * whether it is new. A delete of the credential that is under way wins or loses as a whole: NotFound, or refused.
 */
export async function putUsage(
  db: Database,
  usage: { credential_id: string; consumer: string; project_id: string | null }
) {
  const columns = ['consumer', 'project_id', 'created_at'] as const
  try {
    const made = await db
      .insertInto('credential_usages')
      .values(usage)
      .onConflict((conflict) => conflict.columns(['credential_id', 'consumer', 'project_id']).doNothing())
      .returning(columns)
      .executeTakeFirst()
    if (made) return { usage: made, isNew: true }
  } catch (error) {
    throw violates(error, 'credential_usages_credential_id_fkey') ? new NotFound() : error
  }
  const there = await db
    .selectFrom('credential_usages')
    .where('credential_id', '=', usage.credential_id)
    .where('consumer', '=', usage.consumer)
    .where('project_id', 'is not distinct from', usage.project_id)
    .select(columns)
    .executeTakeFirst()
  // Gone again since: as good as never there.
  if (!there) throw new NotFound()
  return { usage: there, isNew: false }
}

/** Gives whether the consumer was registered; with a project, only what was registered for that one is deleted. */
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
