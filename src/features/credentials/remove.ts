import type { Database } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { CredentialInUse, Forbidden, NotFound, RevisionChanged } from '../../http/problems.ts'
import { visibleHead } from './repositories/credential-repository.ts'
import { listConsumers } from './repositories/usage-repository.ts'
import { deleteCredential } from './repositories/write-repository.ts'
import type { Target } from './revision.ts'

/**
 * Deletes the owner's credential with its values and links. Throws NotFound, Forbidden if the credential has
 * another owner by now but is still visible, RevisionChanged, and a foreign key violation if it has usages
 * (see `mapInUse`): the constraint also covers usages added concurrently.
 */
export async function removeCredential(db: Database, { ownerId, id, revisions }: Target): Promise<void> {
  if (await deleteCredential(db, ownerId, id, revisions)) return
  const [row] = await visibleHead.find(db, { userId: ownerId, projectId: null }, { id })
  if (!row) throw new NotFound()
  throw revisions && row.owner_id === ownerId ? new RevisionChanged() : new Forbidden()
}

/**
 * Throws CredentialInUse, with the consumers, in place of a foreign key violation, and any other error
 * unchanged. `db` must not be the failed transaction.
 */
export async function mapInUse(db: Database, id: string, error: unknown): Promise<never> {
  if (!violates(error, 'credential_usages_credential_id_fkey')) throw error
  throw new CredentialInUse({ consumers: await listConsumers(db, id) })
}
