import type { Keyring } from '../../crypto/keyring.ts'
import type { Transaction } from '../../db/database.ts'
import { type FieldRow, findTypeWithFields } from '../credential-types/repository.ts'
import { listSealedKeys, replaceKeys } from './repository.ts'
import { Kept, opener, sealAll, type Values } from './sealing.ts'

/**
 * Changes the values of a locked credential, by environment, and seals all of them anew under the next sealed revision,
 * which it gives: no ciphertext from before it opens any more. Throws DecryptionFailed when one that stays does not
 * open; one that is replaced need not, which is how an owner mends what was damaged.
 */
export async function changeValues(
  trx: Transaction,
  keyring: Keyring,
  credential: { id: string; type_id: string; sealed_revision: number },
  change: (fields: readonly FieldRow[], values: Map<string, Values>) => void
): Promise<number> {
  const type = (await findTypeWithFields(trx, credential.type_id))!
  const byEnvironment = new Map<string, Values>()
  for (const { environment, field_id, value } of await listSealedKeys(trx, credential.id)) {
    const values = byEnvironment.get(environment) ?? new Map()
    const open = opener(keyring, {
      credentialId: credential.id,
      environment,
      sealedRevision: credential.sealed_revision
    })
    byEnvironment.set(environment, values.set(field_id, new Kept(() => open(field_id, value))))
  }
  change(type.fields, byEnvironment)
  const next = credential.sealed_revision + 1
  await replaceKeys(trx, credential.id, sealAll(keyring, credential.id, next, byEnvironment))
  return next
}
