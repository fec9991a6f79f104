import type { Keyring } from '../../crypto/keyring.ts'
import { EnvironmentNotConfigured, ValidationFailed } from '../../http/problems.ts'
import type { FieldRow } from '../credential-types/repository.ts'
import { type FieldRef, fieldFinder, isInputError } from './field-refs.ts'
import type { RevealableRow } from './repositories/value-repository.ts'
import { opener } from './sealing.ts'

/**
 * Decrypts the values of a credential in one environment: all, or those that are `wanted`. Throws
 * EnvironmentNotConfigured, ValidationFailed for an unknown field, and DecryptionFailed.
 */
export function revealValues(
  keyring: Keyring,
  row: RevealableRow,
  fields: readonly FieldRow[],
  environment: string,
  wanted: readonly FieldRef[] | undefined
) {
  if (!row.configured) throw new EnvironmentNotConfigured()
  const found = wanted?.map(fieldFinder(fields))
  const errors = found?.filter(isInputError) ?? []
  if (errors.length > 0) throw new ValidationFailed({ errors })
  const open = opener(keyring, { credentialId: row.id, environment, sealedRevision: row.sealed_revision })
  return fields
    .filter((field) => field.id in row.sealed && (!found || found.includes(field)))
    .map(({ id: fieldId, field_name: fieldName }) => ({
      fieldId,
      fieldName,
      keyValue: open(fieldId, Buffer.from(row.sealed[fieldId]!, 'base64'))
    }))
}
