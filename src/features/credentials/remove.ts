import type { Database } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { CredentialInUse, NotFound, RevisionChanged } from '../../http/problems.ts'
import { findCredential } from './repositories/credential-repository.ts'
import { listConsumers } from './repositories/usage-repository.ts'
import { deleteCredential } from './repositories/write-repository.ts'
import type { Target } from './revision.ts'

/**
 * Deletes a credential of the owner's with its values and links. Throws RevisionChanged, NotFound, and the
 * foreign key's violation while it has usages, so that none can slip in between: see `mapInUse`.
 */
export async function removeCredential(db: Database, { ownerId, id, revisions }: Target): Promise<void> {
  if (await deleteCredential(db, ownerId, id, revisions)) return
  throw (await findCredential(db, ownerId, id)) ? new RevisionChanged() : new NotFound()
}

/**
 * Throws CredentialInUse with the consumers if these are why a deletion failed. Runs after its transaction.
 */
export async function mapInUse(db: Database, id: string, error: unknown): Promise<never> {
  if (!violates(error, 'credential_usages_credential_id_fkey')) throw error
  throw new CredentialInUse({ consumers: await listConsumers(db, id) })
}
