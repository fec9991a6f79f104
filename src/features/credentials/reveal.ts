import { EnvironmentNotConfigured, NotFound, ValidationFailed } from '../../http/problems.ts'
import type { Services } from '../../services.ts'
import { findSealedValues } from './repository.ts'
import { opener } from './sealing.ts'

/**
 * The values of a credential of the owner's in one environment, in the clear: of all fields that have one, or of those
 * asked for; and the sealed revision, for the audit log. Throws NotFound, EnvironmentNotConfigured, ValidationFailed for a field of another type.
 */
export async function revealCredential(
  { db, keyring }: Services,
  ownerId: string,
  id: string,
  { fieldIds, environment }: { fieldIds: readonly string[] | undefined; environment: string }
) {
  const [row] = await findSealedValues(db, { ownerId, id, environment })
  if (!row) throw new NotFound()
  if (!row.configured) throw new EnvironmentNotConfigured()
  const wanted = fieldIds && new Set(fieldIds)
  const known = new Set(row.keys.map((key) => key.fieldId))
  fieldIds?.forEach((fieldId, index) => {
    if (known.has(fieldId)) return
    const message = 'The credential has no field of this id.'
    throw new ValidationFailed({
      errors: [{ path: `/body/fieldIds/${index}`, code: 'unknown-field', message }]
    })
  })
  const open = opener(keyring, { credentialId: id, environment, sealedRevision: row.sealed_revision })
  const keys = row.keys
    .filter((key) => key.sealed !== null && (!wanted || wanted.has(key.fieldId)))
    .map(({ fieldId, fieldName, sealed }) => ({
      fieldId,
      fieldName,
      keyValue: open(fieldId, Buffer.from(sealed!, 'base64'))
    }))
  return { revealed: { id, revision: row.revision, environment, keys }, sealedRevision: row.sealed_revision }
}
