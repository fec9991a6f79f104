import { atLeast } from '../../auth/roles.ts'
import type { Transaction } from '../../db/database.ts'
import { NewOwnerMayNotLink, ValidationFailed } from '../../http/problems.ts'
import { lockUserByEmail } from '../users/repository.ts'
import { lock } from './change.ts'
import { isTaken } from './constraint-errors.ts'
import { lockLinkedProjects } from './repositories/link-repository.ts'
import { setOwner } from './repositories/write-repository.ts'
import type { Target } from './revision.ts'

/**
 * Transfers a credential to the user with this e-mail address, and returns the new owner's id. Throws
 * ValidationFailed if the address is the current owner's, RevisionChanged, NotFound, and NewOwnerMayNotLink
 * for every other reason. That includes an unknown address, so that users cannot find out who has an account.
 */
export async function transferCredential(trx: Transaction, target: Target, email: string): Promise<string> {
  await lock(trx, target)
  const user = await lockUserByEmail(trx, email)
  if (user?.id === target.ownerId) {
    const message = 'You already own the credential.'
    throw new ValidationFailed({ errors: [{ path: '/body/email', code: 'own-email', message }] })
  }
  const projects = await lockLinkedProjects(trx, target.id, user?.id ?? null)
  const refusal = new NewOwnerMayNotLink({ projects: projects.map((row) => row.project_id) })
  if (!user || !projects.every(({ role }) => role && atLeast(role, 'editor'))) throw refusal
  await setOwner(trx, target.id, user.id).catch((error) => {
    throw isTaken(error) ? refusal : error
  })
  return user.id
}
