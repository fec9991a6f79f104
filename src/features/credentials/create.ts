import { Unavailable } from '../../errors.ts'
import { uuidv7 } from '../../ids.ts'
import type { Services } from '../../plugins/services.ts'
import type { TypeWithFields } from '../credential-types/repository.ts'
import { insertCredential } from './insert-repository.ts'
import { requireEditor } from './links.ts'
import type { CredentialRow } from './repository.ts'
import { sealAll, type Values } from './sealing.ts'
import { explainTaken } from './taken.ts'
import type { FindType } from './which-type.ts'

export interface NewCredential {
  name: string
  description: string | null
  externalId: string | null
  projectIds: readonly string[]
  expiresAt: Date | null
  findType: FindType
  /** What to store, by environment; throws what there is to say when the input does not fit the type. */
  valuesFor(type: TypeWithFields): Map<string, Values>
}

/**
 * Creates a credential of the owner's, sealed and linked, in one statement, and gives it as its owner sees it. Throws
 * NameTaken, ExternalIdTaken, NotFound or Forbidden for a project, and what the input throws; then nothing is created.
 */
export async function createCredential(
  { db, keyring }: Services,
  ownerId: string,
  input: NewCredential
): Promise<CredentialRow> {
  for (let attempt = 1; attempt <= 3; attempt++) {
    const type = await input.findType(db)
    const byEnvironment = input.valuesFor(type)
    const id = uuidv7()
    const sealed = sealAll(keyring, id, 1, byEnvironment)
    const row = await insertCredential(db, {
      ...sealed,
      id,
      ownerId,
      typeId: type.id,
      typeRevision: type.revision,
      name: input.name,
      description: input.description,
      externalId: input.externalId,
      expiresAt: input.expiresAt,
      environmentNames: [...byEnvironment.keys()],
      projectIds: [...input.projectIds],
      linkIds: input.projectIds.map(() => uuidv7())
    }).catch(explainTaken)
    if (row) {
      const main = new Map(
        sealed.fieldIds
          .map((fieldId, index) => [fieldId, index] as const)
          .filter(([, index]) => sealed.environments[index] === 'main')
          .map(([fieldId, index]) => [fieldId, sealed.values[index]!])
      )
      return {
        ...row,
        id,
        owner_id: ownerId,
        type_id: type.id,
        name: input.name,
        description: input.description,
        expires_at: input.expiresAt,
        environments: [...byEnvironment.keys()],
        usage_count: 0,
        keys: type.fields.map((field) => ({
          fieldId: field.id,
          fieldName: field.field_name,
          secret: field.secret,
          hasValue: main.has(field.id),
          sealed: field.secret ? null : (main.get(field.id)?.toString('base64') ?? null)
        }))
      }
    }
    // Not allowed to link, or the type has changed since it was read: then once more with the type as it is now.
    await requireEditor(db, ownerId, input.projectIds)
  }
  throw new Unavailable({ detail: 'The credential type is being changed; try again.', retryAfter: 1 })
}
