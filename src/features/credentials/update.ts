import type { Keyring } from '../../crypto/keyring.ts'
import { inTransaction, type Transaction } from '../../db/database.ts'
import { violates } from '../../db/sqlstate.ts'
import { NameTaken, NotFound } from '../../errors.ts'
import type { Services } from '../../plugins/services.ts'
import { findTypeWithFields } from '../credential-types/repository.ts'
import { applyKeys, type KeyInput } from './input.ts'
import { replaceLinks } from './links.ts'
import * as repository from './repository.ts'
import { requireRevision } from './revision.ts'
import { opener, sealAll, type Values } from './sealing.ts'

/** What is absent stays as it is. */
export interface CredentialUpdate {
  name?: string | undefined
  description?: string | null | undefined
  keys?: readonly KeyInput[] | undefined
  projectIds?: readonly string[] | undefined
  expiresAt?: Date | null | undefined
}

/**
 * Changes a credential of the owner's as one, and gives it as it is then. Throws RevisionChanged when its revision is
 * none of `revisions`; ValidationFailed, NameTaken, and NotFound or Forbidden for a project; then nothing is changed.
 */
export async function updateCredential(
  { db, keyring }: Services,
  ownerId: string,
  id: string,
  revisions: number[] | null,
  update: CredentialUpdate
): Promise<repository.CredentialRow> {
  try {
    return await inTransaction(db, async (trx) => {
      const locked = await repository.lockCredential(trx, ownerId, id)
      if (!locked) throw new NotFound()
      requireRevision(revisions, locked.revision)
      const changes: repository.CredentialChanges = {}
      if (update.name !== undefined) changes.name = update.name
      if (update.description !== undefined) changes.description = update.description
      if (update.expiresAt !== undefined) changes.expires_at = update.expiresAt
      if (update.keys && update.keys.length > 0) {
        changes.sealed_revision = await reseal(trx, keyring, locked, update.keys)
      }
      const relinked = update.projectIds ? await replaceLinks(trx, ownerId, id, update.projectIds) : false
      if (relinked || Object.keys(changes).length > 0)
        await repository.updateCredential(trx, ownerId, id, changes)
      return (await repository.findCredential(trx, ownerId, id))!
    })
  } catch (error) {
    throw violates(error, 'credentials_name_key') ? new NameTaken() : error
  }
}

/** Seals all values anew under the next sealed revision, which it gives, so that no older one opens any more. */
async function reseal(
  trx: Transaction,
  keyring: Keyring,
  credential: { id: string; type_id: string; sealed_revision: number },
  keys: readonly KeyInput[]
): Promise<number> {
  const type = (await findTypeWithFields(trx, credential.type_id))!
  const byEnvironment = new Map<string, Values>([['main', new Map()]])
  const sent = new Set(keys.filter((key) => key.keyValue !== '').map((key) => key.fieldId.toLowerCase()))
  for (const row of await repository.listSealedKeys(trx, credential.id)) {
    const { environment, field_id } = row
    // One that is replaced need not open: that is how an owner mends a value that was damaged.
    if (environment === 'main' && sent.has(field_id)) continue
    const open = opener(keyring, {
      credentialId: credential.id,
      environment,
      sealedRevision: credential.sealed_revision
    })
    const values = byEnvironment.get(environment) ?? new Map()
    byEnvironment.set(environment, values.set(field_id, open(field_id, row.value)))
  }
  byEnvironment.set('main', applyKeys(type.fields, byEnvironment.get('main')!, keys))
  const next = credential.sealed_revision + 1
  await repository.replaceKeys(trx, credential.id, sealAll(keyring, credential.id, next, byEnvironment))
  return next
}
