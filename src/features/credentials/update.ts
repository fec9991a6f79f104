import { inTransaction } from '../../db/database.ts'
import { NotFound } from '../../http/problems.ts'
import type { Services } from '../../services.ts'
import { applyKeys, type KeyInput } from './input.ts'
import { type LinkChanges, replaceLinks } from './links.ts'
import * as repository from './repository.ts'
import { changeValues } from './reseal.ts'
import { requireRevision } from './revision.ts'
import { explainTaken } from './taken.ts'

/** What is absent stays as it is. */
export interface CredentialUpdate {
  name?: string | undefined
  description?: string | null | undefined
  keys?: readonly KeyInput[] | undefined
  projectIds?: readonly string[] | undefined
  expiresAt?: Date | null | undefined
}

/**
 * Changes a credential of the owner's as one, and gives it as it is then, and what changed of its links. Throws RevisionChanged when its revision is
 * none of `revisions`; ValidationFailed, NameTaken, and NotFound or Forbidden for a project; then nothing is changed.
 */
export async function updateCredential(
  { db, keyring }: Services,
  ownerId: string,
  id: string,
  revisions: number[] | null,
  update: CredentialUpdate
): Promise<{ row: repository.CredentialRow; links: LinkChanges }> {
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
        const { keys } = update
        changes.sealed_revision = await changeValues(trx, keyring, locked, (fields, values) => {
          values.set('main', applyKeys(fields, values.get('main') ?? new Map(), keys))
        })
      }
      const links = update.projectIds
        ? await replaceLinks(trx, ownerId, id, update.projectIds)
        : { added: [], removed: [] }
      if (links.added.length + links.removed.length + Object.keys(changes).length > 0)
        await repository.updateCredential(trx, ownerId, id, changes)
      return { row: (await repository.findCredential(trx, ownerId, id))!, links }
    })
  } catch (error) {
    return explainTaken(error)
  }
}
