import type { Static } from '@sinclair/typebox'
import type { Keyring } from '../../../crypto/keyring.ts'
import type { Database } from '../../../db/database.ts'
import { typeAt } from '../../credential-types/known-types.ts'
import type { FieldRow } from '../../credential-types/repository.ts'
import type { CredentialRow } from '../repository.ts'
import { opener } from '../sealing.ts'
import type * as schema from './resource-schema.ts'

/** Of an id, as Postgres writes it. */
export const ID_LENGTH = 36

/** The credential with the values of the fields that are not secret; the secret ones are not in the row. */
export async function toCredential(
  db: Database,
  keyring: Keyring,
  row: CredentialRow
): Promise<Static<typeof schema.AppCredential>> {
  const fields = await fieldsOf(db, row)
  const values = valuesOf(row)
  const open = opener(keyring, {
    credentialId: row.id,
    environment: 'main',
    sealedRevision: row.sealed_revision
  })
  const keys = fields.map(({ id: fieldId, field_name: fieldName, secret }) => {
    const sealed = values.get(fieldId)
    const key = { fieldId, fieldName, secret, hasValue: sealed !== undefined }
    return sealed && !secret ? { ...key, keyValue: open(fieldId, Buffer.from(sealed, 'base64')) } : key
  })
  return {
    id: row.id,
    credentialName: row.name,
    credentialTypeId: row.type_id,
    credentialType: { id: row.type_id, typeName: row.type_name },
    description: row.description,
    ownerId: row.owner_id,
    environments: environmentsOf(row.environments),
    projects: JSON.parse(row.projects),
    usageCount: row.usage_count,
    revision: row.revision,
    expiresAt: row.expires_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    keys
  }
}

/** Names with spaces between, as a list with `main` first if it is there. */
export function environmentsOf(text: string): string[] {
  const names = text.split(' ')
  const others = names.filter((name) => name !== '' && name !== 'main').sort()
  return names.includes('main') ? ['main', ...others] : others
}

/** Sealed values (base64) by field id; empty for one that is there and secret. */
function valuesOf({ values }: CredentialRow): Map<string, string> {
  if (values === '') return new Map()
  return new Map(values.split(' ').map((value) => [value.slice(0, ID_LENGTH), value.slice(ID_LENGTH)]))
}

export async function fieldsOf(
  db: Database,
  row: { type_id: string; type_revision: number }
): Promise<readonly FieldRow[]> {
  // A type that is gone has no credentials: this one went with it since.
  return (await typeAt(db, row.type_id, row.type_revision))?.fields ?? []
}
