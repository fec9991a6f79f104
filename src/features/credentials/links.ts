import { type ExpressionBuilder, sql } from 'kysely'
import { atLeast } from '../../auth/roles.ts'
import type { Database, Transaction } from '../../db/database.ts'
import type { Tables } from '../../db/tables.ts'
import { Forbidden, NotFound } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'

/** Ids of projects. */
export interface LinkChanges {
  added: readonly string[]
  removed: readonly string[]
}

export function listLinks(db: Database, credentialId: string) {
  return db
    .selectFrom('credential_projects')
    .where('credential_id', '=', credentialId)
    .select(['credential_id', 'project_id', 'assigned_by', 'created_at'])
    .orderBy('created_at')
    .orderBy('project_id')
    .execute()
}

/**
 * Throws unless the user may link credentials to every one of the projects: NotFound for one that does not exist,
 * Forbidden for one where the user is not an editor or above.
 */
export async function requireEditor(
  db: Database,
  userId: string,
  projectIds: readonly string[]
): Promise<void> {
  if (projectIds.length === 0) return
  const rows = await db
    .selectFrom('projects as p')
    .leftJoin('project_members as m', (join) =>
      join.onRef('m.project_id', '=', 'p.id').on('m.user_id', '=', userId)
    )
    .where(sql<boolean>`p.id = any(${projectIds}::uuid[])`)
    .select(['p.id', 'm.role'])
    .execute()
  if (rows.length < projectIds.length) throw new NotFound({ detail: 'There is no such project.' })
  if (!rows.every((row) => row.role && atLeast(row.role, 'editor'))) {
    throw new Forbidden({ detail: 'Linking a credential takes the role editor or above in the project.' })
  }
}

/**
 * Makes these the credential's projects, and gives what that changed; links that stay are untouched. The
 * credential's row is locked by the caller, who owns it; only what is added needs a role in the project.
 */
export async function replaceLinks(
  trx: Transaction,
  ownerId: string,
  credentialId: string,
  projectIds: readonly string[]
): Promise<LinkChanges> {
  const existing = new Set((await listLinks(trx, credentialId)).map((link) => link.project_id))
  const wanted = new Set(projectIds)
  const added = [...wanted].filter((id) => !existing.has(id))
  const removed = [...existing].filter((id) => !wanted.has(id))
  await requireEditor(trx, ownerId, added)
  if (removed.length > 0) {
    await trx
      .deleteFrom('credential_projects')
      .where('credential_id', '=', credentialId)
      .where(sql<boolean>`project_id = any(${removed}::uuid[])`)
      .execute()
  }
  if (added.length > 0) {
    await trx
      .insertInto('credential_projects')
      .values(
        added.map((id) => ({
          id: uuidv7(),
          credential_id: credentialId,
          project_id: id,
          assigned_by: ownerId
        }))
      )
      .execute()
  }
  return { added, removed }
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

// The credentials first, as everywhere: two that lock in one order do not wait for each other.
const countUnlinking = (trx: Transaction, projectId: string) =>
  trx
    .updateTable('credentials as c')
    .set((eb) => ({ revision: eb('c.revision', '+', 1), updated_at: sql<Date>`now()` }))
    .where(isLinkedTo(projectId))
    .returning(['c.id', 'c.name', 'c.owner_id'])

/** Takes the credential out of the project, which is a change of it, and gives which it was; undefined when it was not in it. */
export async function unlink(trx: Transaction, projectId: string, credentialId: string) {
  const row = await countUnlinking(trx, projectId).where('c.id', '=', credentialId).executeTakeFirst()
  await trx
    .deleteFrom('credential_projects')
    .where('project_id', '=', projectId)
    .where('credential_id', '=', credentialId)
    .execute()
  return row
}

/** Takes all credentials out of the project, and gives which they were. */
export async function unlinkAll(trx: Transaction, projectId: string) {
  const rows = await countUnlinking(trx, projectId).execute()
  await trx.deleteFrom('credential_projects').where('project_id', '=', projectId).execute()
  return rows
}
