import type { Keyring } from '../../crypto/keyring.ts'
import type { Database } from '../../db/database.ts'
import type { FieldRow } from '../credential-types/repository.ts'
import { getAtRevision } from '../credential-types/type-cache.ts'
import type { CredentialRow } from './repositories/credential-repository.ts'
import { opener, plainValue, type Values } from './sealing.ts'

/** What a credential's resource shows of its values in `main`. */
export interface ShownValues {
  fields: readonly FieldRow[]
  /** The ids of the fields that have a value. */
  filled: ReadonlySet<string>
  /** The values that are not secret, by field id. */
  open: ReadonlyMap<string, unknown>
}

/** Shows values that are known: those that were just stored. Throws DecryptionFailed for an unchanged one. */
export function showValues(fields: readonly FieldRow[], values: Values): ShownValues {
  const shown = fields.filter(({ id, secret }) => !secret && values.has(id))
  return {
    fields,
    filled: new Set(values.keys()),
    open: new Map(shown.map(({ id }) => [id, plainValue(values.get(id))]))
  }
}

/** Opens the stored values that are not secret. Throws DecryptionFailed. */
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

/**
 * Returns the fields of a credential's type at the revision that was read, or none if both were deleted
 * meanwhile.
 */
export async function fieldsOf(
  db: Database,
  row: { type_id: string; type_revision: number }
): Promise<readonly FieldRow[]> {
  return (await getAtRevision(db, row.type_id, row.type_revision))?.fields ?? []
}
