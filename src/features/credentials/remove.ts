import type { Database, Transaction } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { CredentialInUse } from '../../http/problems.ts'
import { lock } from './change.ts'
import { listConsumers } from './repositories/usage-repository.ts'
import { deleteCredential } from './repositories/write-repository.ts'
import type { Target } from './revision.ts'

/**
 * Deletes the owner's credential with its values and links. Throws as `lock`, and a foreign key violation if
 * it has usages (see `mapInUse`): the constraint also covers usages added concurrently.
 */
export async function removeCredential(trx: Transaction, target: Target): Promise<void> {
  await lock(trx, target)
  await deleteCredential(trx, target.id)
}

/**
 * Throws CredentialInUse, with the consumers, in place of a foreign key violation, and any other error
 * unchanged. `db` must not be the failed transaction.
 */
export async function mapInUse(db: Database, id: string, error: unknown): Promise<never> {
  if (!violates(error, 'credential_usages_credential_id_fkey')) throw error
  throw new CredentialInUse({ consumers: await listConsumers(db, id) })
}
