import { atLeast } from '../../auth/roles.ts'
import type { Database } from '../../db/database.ts'
import { Forbidden, NotFound } from '../../http/problems.ts'
import { listRoles } from './repositories/link-repository.ts'

/** The ids of the projects that a credential was added to and removed from. */
export interface LinkChanges {
  added: readonly string[]
  removed: readonly string[]
}

/**
 * Throws NotFound if one of the projects does not exist, and Forbidden if the user is not an editor or above
 * in all of them.
 */
export async function requireEditor(
  db: Database,
  userId: string,
  projectIds: readonly string[]
): Promise<void> {
  if (projectIds.length === 0) return
  const roles = await listRoles(db, userId, projectIds)
  if (roles.length < projectIds.length) throw new NotFound({ detail: 'There is no such project.' })
  if (!roles.every((role) => role && atLeast(role, 'editor'))) {
    throw new Forbidden({ detail: 'To link a credential, you must be an editor or above in the project.' })
  }
}
