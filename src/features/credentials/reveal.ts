import type { Keyring } from '../../crypto/keyring.ts'
import { EnvironmentNotConfigured, ValidationFailed } from '../../http/problems.ts'
import type { FieldRow } from '../credential-types/repository.ts'
import type { RevealableRow } from './repositories/value-repository.ts'
import { opener } from './sealing.ts'

/**
 * Decrypts the values of a credential in one environment: all, or those of `fieldIds`. Throws
 * EnvironmentNotConfigured, ValidationFailed for a field of another type, and DecryptionFailed.
 */
export function revealValues(
  keyring: Keyring,
  row: RevealableRow,
  fields: readonly FieldRow[],
  environment: string,
  fieldIds: readonly string[] | undefined
) {
  if (!row.configured) throw new EnvironmentNotConfigured()
  const idsOfType = new Set(fields.map(({ id }) => id))
  fieldIds?.forEach((fieldId, index) => {
    if (idsOfType.has(fieldId)) return
    const message = 'The credential has no field of this id.'
    throw new ValidationFailed({
      errors: [{ path: `/body/fieldIds/${index}`, code: 'unknown-field', message }]
    })
  })
  const open = opener(keyring, { credentialId: row.id, environment, sealedRevision: row.sealed_revision })
  return fields
    .filter(({ id }) => id in row.sealed && (!fieldIds || fieldIds.includes(id)))
    .map(({ id: fieldId, field_name: fieldName }) => ({
      fieldId,
      fieldName,
      keyValue: open(fieldId, Buffer.from(row.sealed[fieldId]!, 'base64'))
    }))
}
