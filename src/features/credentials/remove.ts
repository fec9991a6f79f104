import type { Database } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { CredentialInUse, NotFound, RevisionChanged } from '../../http/problems.ts'
import { deleteCredential, findCredential, listConsumers } from './repository.ts'

/**
 * Deletes a credential of the owner's with its values and links. Throws RevisionChanged, NotFound, and while usages
 * stand the foreign key's violation, so that none slips in between: see `explainInUse`.
 */
export async function removeCredential(
  db: Database,
  ownerId: string,
  id: string,
  revisions: number[] | null
): Promise<void> {
  if (await deleteCredential(db, ownerId, id, revisions)) return
  throw (await findCredential(db, ownerId, id)) ? new RevisionChanged() : new NotFound()
}

/**
 * Throws what the deletion threw, or CredentialInUse with the consumers when these are why. The database is not the
 * deletion's transaction, which has ended.
 */
export async function explainInUse(db: Database, id: string, error: unknown): Promise<never> {
  if (!violates(error, 'credential_usages_credential_id_fkey')) throw error
  throw new CredentialInUse({ consumers: await listConsumers(db, id) })
}
