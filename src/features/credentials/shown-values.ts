import type { Keyring } from '../../crypto/keyring.ts'
import type { Database } from '../../db/database.ts'
import type { JsonText } from '../../json.ts'
import type { FieldRow } from '../credential-types/repository.ts'
import { getAtRevision } from '../credential-types/type-cache.ts'
import type { CredentialRow } from './repositories/credential-repository.ts'
import { jsonOf, opener, type Values } from './sealing.ts'

/** The part of the values in `main` that responses with the credential contain. */
export interface ShownValues {
  fields: readonly FieldRow[]
  /** The ids of the fields that have a value. */
  filled: ReadonlySet<string>
  /** The values that are not secret, by field id. */
  open: ReadonlyMap<string, JsonText>
}

/** Returns the shown part of values that were just stored. Throws DecryptionFailed for an unchanged value. */
export function showValues(fields: readonly FieldRow[], values: Values): ShownValues {
  const open = new Map<string, JsonText>()
  for (const { id, secret } of fields) {
    const value = values.get(id)
    if (value && !secret) open.set(id, jsonOf(value))
  }
  return { fields, filled: new Set(values.keys()), open }
}

/** Decrypts the stored values that are not secret. Throws DecryptionFailed. */
export function openShownValues(
  keyring: Keyring,
  fields: readonly FieldRow[],
  { id, sealed_revision, values }: Pick<CredentialRow, 'id' | 'sealed_revision' | 'values'>
): ShownValues {
  const open = opener(keyring, { credentialId: id, environment: 'main', sealedRevision: sealed_revision })
  return {
    fields,
    filled: new Set(Object.keys(values)),
    open: new Map(
      Object.entries(values).flatMap(([fieldId, sealed]) =>
        sealed === null ? [] : [[fieldId, open(fieldId, Buffer.from(sealed, 'base64'))] as const]
      )
    )
  }
}

/** Returns the fields of the type at the row's revision, or none if the type was deleted in the meantime. */
export async function fieldsOf(
  db: Database,
  row: { type_id: string; type_revision: number }
): Promise<readonly FieldRow[]> {
  return (await getAtRevision(db, row.type_id, row.type_revision))?.fields ?? []
}
