import { atLeast } from '../../auth/roles.ts'
import type { Database } from '../../db/database.ts'
import { Forbidden, NotFound } from '../../http/problems.ts'
import { listRoles } from './repositories/link-repository.ts'

/** Ids of projects that a credential was linked to, and was taken out of. */
export interface LinkChanges {
  added: readonly string[]
  removed: readonly string[]
}

/**
 * Throws unless the user may link credentials to all of the projects: NotFound for one that does not exist,
 * Forbidden for one in which the user is not an editor or above.
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
    throw new Forbidden({ detail: 'Linking a credential takes the role editor or above in the project.' })
  }
}
