import { atLeast } from '../../auth/roles.ts'
import type { Transaction } from '../../db/database.ts'
import { NewOwnerMayNotLink, ValidationFailed } from '../../http/problems.ts'
import { lockUserByEmail } from '../users/repository.ts'
import { lock } from './change.ts'
import { mapConstraintError } from './constraint-errors.ts'
import { lockLinkedProjects } from './repositories/link-repository.ts'
import { setOwner } from './repositories/write-repository.ts'
import type { Target } from './revision.ts'

/**
 * Transfers a credential to the user with this e-mail address, and returns the new owner's id. Throws
 * ValidationFailed if the address is unknown or the current owner's, NewOwnerMayNotLink if the new owner is
 * not an editor or above in one of its projects, NameTaken, RevisionChanged and NotFound.
 */
export async function transferCredential(trx: Transaction, target: Target, email: string): Promise<string> {
  await lock(trx, target)
  const user = await lockUserByEmail(trx, email)
  if (!user || user.id === target.ownerId) {
    const message = user ? 'It is yours already.' : 'Nobody who may sign in has that e-mail address.'
    const code = user ? 'own-email' : 'unknown-user'
    throw new ValidationFailed({ errors: [{ path: '/body/email', code, message }] })
  }
  const projects = await lockLinkedProjects(trx, target.id, user.id)
  const refused = projects.filter(({ role }) => !role || !atLeast(role, 'editor'))
  if (refused.length > 0) throw new NewOwnerMayNotLink({ projects: refused.map((row) => row.project_id) })
  await setOwner(trx, target.id, user.id).catch(mapConstraintError)
  return user.id
}
