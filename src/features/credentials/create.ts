import type { Database } from '../../db/database.ts'
import { violates } from '../../db/sqlstate.ts'
import { NameTaken, Unavailable, ValidationFailed } from '../../errors.ts'
import { uuidv7 } from '../../ids.ts'
import type { Services } from '../../plugins/services.ts'
import { findTypeWithFields } from '../credential-types/repository.ts'
import { applyKeys, defaultsOf, type KeyInput } from './input.ts'
import { requireEditor } from './links.ts'
import { type CredentialRow, insertCredential } from './repository.ts'
import { sealAll, type Values } from './sealing.ts'

export interface NewCredential {
  name: string
  typeId: string
  description: string | null
  keys: readonly KeyInput[]
  projectIds: readonly string[]
  expiresAt: Date | null
}

/**
 * Creates a credential of the owner's, sealed and linked, in one statement, and gives it as its owner sees it. Throws
 * ValidationFailed, NameTaken, and NotFound or Forbidden for a project; then nothing is created.
 */
export async function createCredential(
  { keyring }: Services,
  db: Database,
  ownerId: string,
  input: NewCredential
): Promise<CredentialRow> {
  for (let attempt = 1; attempt <= 3; attempt++) {
    const type = await findTypeWithFields(db, input.typeId)
    if (!type) {
      const message = 'There is no credential type of this id.'
      throw new ValidationFailed({
        errors: [{ path: '/body/credentialTypeId', code: 'unknown-type', message }]
      })
    }
    const values = applyKeys(type.fields, defaultsOf(type.fields), input.keys)
    const id = uuidv7()
    const sealed = sealAll(keyring, id, 1, new Map<string, Values>([['main', values]]))
    const row = await insertCredential(db, {
      ...sealed,
      id,
      ownerId,
      typeId: type.id,
      typeRevision: type.revision,
      name: input.name,
      description: input.description,
      externalId: null,
      expiresAt: input.expiresAt,
      environmentNames: ['main'],
      projectIds: [...input.projectIds],
      linkIds: input.projectIds.map(() => uuidv7())
    }).catch((error) => {
      throw violates(error, 'credentials_name_key') ? new NameTaken() : error
    })
    if (row) {
      const sealedOf = new Map(sealed.fieldIds.map((fieldId, index) => [fieldId, sealed.values[index]!]))
      return {
        ...row,
        id,
        owner_id: ownerId,
        type_id: type.id,
        name: input.name,
        description: input.description,
        expires_at: input.expiresAt,
        environments: ['main'],
        usage_count: 0,
        keys: type.fields.map((field) => ({
          fieldId: field.id,
          fieldName: field.field_name,
          secret: field.secret,
          hasValue: values.has(field.id),
          sealed: field.secret ? null : (sealedOf.get(field.id)?.toString('base64') ?? null)
        }))
      }
    }
    // Not allowed to link, or the type has changed since it was read: then once more with the type as it is now.
    await requireEditor(db, ownerId, input.projectIds)
  }
  throw new Unavailable({ detail: 'The credential type is being changed; try again.', retryAfter: 1 })
}
