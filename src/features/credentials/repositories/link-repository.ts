import { type ExpressionBuilder, sql } from 'kysely'
import type { Database, Transaction } from '../../../db/database.ts'
import type { ProjectRole, Tables } from '../../../db/tables.ts'

/** Lists the credential's links, oldest first. */
export function listLinks(db: Database, credentialId: string) {
  return db
    .selectFrom('credential_projects')
    .where('credential_id', '=', credentialId)
    .select(['credential_id', 'project_id', 'assigned_by', 'created_at'])
    .orderBy('created_at')
    .orderBy('project_id')
    .execute()
}

/** Lists the user's role (null if not a member) in each of these projects that exists. */
export async function listRoles(
  db: Database,
  userId: string,
  projectIds: readonly string[]
): Promise<(ProjectRole | null)[]> {
  const rows = await db
    .selectFrom('projects as p')
    .leftJoin('project_members as m', (join) =>
      join.onRef('m.project_id', '=', 'p.id').on('m.user_id', '=', userId)
    )
    .where(sql<boolean>`p.id = any(${projectIds}::uuid[])`)
    .select('m.role')
    .execute()
  return rows.map((row) => row.role)
}

/** Locks the projects that the credential is linked to, and returns them with the user's role in each. */
export async function lockLinkedProjects(trx: Transaction, credentialId: string, userId: string) {
  await trx
    .selectFrom('projects')
    .select('id')
    .where('id', 'in', (eb) =>
      eb.selectFrom('credential_projects').select('project_id').where('credential_id', '=', credentialId)
    )
    .orderBy('id')
    .forKeyShare()
    .execute()
  return trx
    .selectFrom('credential_projects as l')
    .leftJoin('project_members as m', (join) =>
      join.onRef('m.project_id', '=', 'l.project_id').on('m.user_id', '=', userId)
    )
    .where('l.credential_id', '=', credentialId)
    .select(['l.project_id', 'm.role'])
    .orderBy('l.project_id')
    .execute()
}

const isLinkedTo =
  (projectId: string) => (eb: ExpressionBuilder<Tables & { c: Tables['credentials'] }, 'c'>) =>
    eb.exists(
      eb
        .selectFrom('credential_projects as l')
        .whereRef('l.credential_id', '=', 'c.id')
        .where('l.project_id', '=', projectId)
        .select('l.id')
    )

/**
 * Increments the revision of each credential. Locks credentials before links, as all writes do, to avoid
 * deadlocks.
 */
const countUnlinking = (trx: Transaction, projectId: string) =>
  trx
    .updateTable('credentials as c')
    .set((eb) => ({ revision: eb('c.revision', '+', 1), updated_at: sql<Date>`now()` }))
    .where(isLinkedTo(projectId))
    .returning(['c.id', 'c.name', 'c.owner_id'])

/** Removes the credential from the project. Returns undefined if it was not in the project. */
export async function unlink(trx: Transaction, projectId: string, credentialId: string) {
  const row = await countUnlinking(trx, projectId).where('c.id', '=', credentialId).executeTakeFirst()
  await trx
    .deleteFrom('credential_projects')
    .where('project_id', '=', projectId)
    .where('credential_id', '=', credentialId)
    .execute()
  return row
}

/** Removes all credentials from the project, and returns them. */
export async function unlinkAll(trx: Transaction, projectId: string) {
  const rows = await countUnlinking(trx, projectId).execute()
  await trx.deleteFrom('credential_projects').where('project_id', '=', projectId).execute()
  return rows
}
