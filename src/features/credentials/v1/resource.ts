import type { Static } from '@sinclair/typebox'
import type { Keyring } from '../../../crypto/keyring.ts'
import type { Database } from '../../../db/database.ts'
import { ID_LENGTH } from '../../../ids.ts'
import type { FieldRow } from '../../credential-types/repository.ts'
import { getAtRevision } from '../../credential-types/type-cache.ts'
import type { CredentialRow } from '../repository.ts'
import { opener, type Values } from '../sealing.ts'
import type * as schema from './resource-schema.ts'

/** What the credential's fields hold in `main`, by field id; what is secret need not be known here. */
type Held = ReadonlyMap<string, () => unknown>

/** The credential with the values of the fields that are not secret. Throws as opening a value does. */
export async function toCredential(
  db: Database,
  row: Omit<CredentialRow, 'values'>,
  held: Held
): Promise<Static<typeof schema.AppCredential>> {
  const fields = await fieldsOf(db, row)
  const keys = fields.map(({ id: fieldId, field_name: fieldName, secret }) => {
    const value = held.get(fieldId)
    const key = { fieldId, fieldName, secret, hasValue: value !== undefined }
    return value && !secret ? { ...key, keyValue: value() } : key
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

/** What is in the row: values that open when they are asked for, and of secret ones that they are there. */
export function sealedIn(keyring: Keyring, { id, sealed_revision, values }: CredentialRow): Held {
  if (values === '') return new Map()
  const open = opener(keyring, { credentialId: id, environment: 'main', sealedRevision: sealed_revision })
  return new Map(
    values.split(' ').map((value) => {
      const fieldId = value.slice(0, ID_LENGTH)
      return [fieldId, () => open(fieldId, Buffer.from(value.slice(ID_LENGTH), 'base64'))]
    })
  )
}

/** What was stored just now. */
export function storedAs(values: Values): Held {
  return new Map([...values].map(([fieldId, value]) => [fieldId, () => value]))
}

export async function fieldsOf(
  db: Database,
  row: { type_id: string; type_revision: number }
): Promise<readonly FieldRow[]> {
  // A type that is gone has no credentials: this one went with it since.
  return (await getAtRevision(db, row.type_id, row.type_revision))?.fields ?? []
}
