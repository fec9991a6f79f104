import { sql } from 'kysely'
import type { Database, Transaction } from '../../../db/database.ts'
import type { ProjectRole } from '../../../db/tables.ts'

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

/** Locks the projects that the credential is linked to, and returns them with the role that the user has. */
export async function lockLinkedProjects(trx: Transaction, credentialId: string, userId: string | null) {
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

/** Locks the project's credentials, or one of them. Credentials are locked before links, as in all writes. */
async function lockLinked(trx: Transaction, projectId: string, credentialId?: string): Promise<void> {
  await trx
    .selectFrom('credentials as c')
    .where('c.id', 'in', (eb) =>
      eb
        .selectFrom('credential_projects')
        .where('project_id', '=', projectId)
        .$if(credentialId !== undefined, (query) => query.where('credential_id', '=', credentialId!))
        .select('credential_id')
    )
    .select('c.id')
    .orderBy('c.id')
    .forUpdate()
    .execute()
}

/**
 * Removes the project's links, or the one of a credential, and returns the credentials whose links it
 * removed, each at its next revision.
 */
async function removeLinks(trx: Transaction, projectId: string, credentialId?: string) {
  await lockLinked(trx, projectId, credentialId)
  // Links that another transaction removed during the wait for the locks are not returned.
  const removed = await trx
    .deleteFrom('credential_projects')
    .where('project_id', '=', projectId)
    .$if(credentialId !== undefined, (query) => query.where('credential_id', '=', credentialId!))
    .returning('credential_id')
    .execute()
  return trx
    .updateTable('credentials')
    .set((eb) => ({ revision: eb('revision', '+', 1), updated_at: sql<Date>`now()` }))
    .where(sql<boolean>`id = any(${removed.map((row) => row.credential_id)}::uuid[])`)
    .returning(['id', 'name', 'owner_id'])
    .execute()
}

/** Removes the credential from the project. Returns undefined if it was not in the project. */
export async function unlink(trx: Transaction, projectId: string, credentialId: string) {
  return (await removeLinks(trx, projectId, credentialId))[0]
}

/** Removes all credentials from the project, and returns them. */
export function unlinkAll(trx: Transaction, projectId: string) {
  return removeLinks(trx, projectId)
}
