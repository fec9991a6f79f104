import type { Database } from '../../db/database.ts'
import { violates } from '../../db/sqlstate.ts'
import { CredentialInUse, NotFound, RevisionChanged } from '../../errors.ts'
import { deleteCredential, findCredential, listConsumers } from './repository.ts'

/**
 * Deletes a credential of the owner's with its values and links. Throws CredentialInUse with the consumers while
 * usages stand (the foreign key says so, so that none slips in between), RevisionChanged, or NotFound.
 */
export async function removeCredential(
  db: Database,
  ownerId: string,
  id: string,
  revisions: number[] | null
): Promise<void> {
  try {
    if (await deleteCredential(db, ownerId, id, revisions)) return
  } catch (error) {
    if (!violates(error, 'credential_usages_credential_id_fkey')) throw error
    throw new CredentialInUse({ consumers: await listConsumers(db, id) })
  }
  throw (await findCredential(db, ownerId, id)) ? new RevisionChanged() : new NotFound()
}
