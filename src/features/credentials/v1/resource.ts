import type { Static } from '@sinclair/typebox'
import type { Keyring } from '../../../crypto/keyring.ts'
import type { CredentialRow } from '../repository.ts'
import { opener } from '../sealing.ts'
import type * as schema from './schema.ts'

/** The credential without any value. */
export function toItem(row: CredentialRow): Static<typeof schema.AppCredentialItem> {
  return {
    id: row.id,
    credentialName: row.name,
    credentialTypeId: row.type_id,
    credentialType: { id: row.type_id, typeName: row.type_name },
    description: row.description,
    ownerId: row.owner_id,
    keys: row.keys.map(({ fieldId, fieldName, secret, hasValue }) => ({
      fieldId,
      fieldName,
      secret,
      hasValue
    })),
    environments: row.environments,
    projects: row.projects,
    usageCount: row.usage_count,
    revision: row.revision,
    expiresAt: row.expires_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString()
  }
}

/** The credential with the values of the fields that are not secret; the secret ones are not in the row. */
export function toCredential(row: CredentialRow, keyring: Keyring): Static<typeof schema.AppCredential> {
  const open = opener(keyring, {
    credentialId: row.id,
    environment: 'main',
    sealedRevision: row.sealed_revision
  })
  const keys = row.keys.map(({ fieldId, fieldName, secret, hasValue, sealed }) => ({
    fieldId,
    fieldName,
    secret,
    hasValue,
    ...(!secret && sealed !== null && { keyValue: open(fieldId, Buffer.from(sealed, 'base64')) })
  }))
  return { ...toItem(row), keys }
}
