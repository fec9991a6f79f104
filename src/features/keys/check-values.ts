import { DecryptionFailed } from '../../crypto/aead.ts'
import type { Database } from '../../db/database.ts'
import type { RootKey } from '../../root-keys/root-key.ts'
import { openKeyring } from './open-keyring.ts'
import { listValuesAfter, type ValuePlace } from './sealed-values-repository.ts'

const BATCH = 500

/** Decrypts every value, and returns how many there are. Throws for the first that does not decrypt. */
export async function checkValues(db: Database, rootKeys: readonly RootKey[]): Promise<number> {
  const keyring = await openKeyring(db, rootKeys)
  let count = 0
  let after: ValuePlace | undefined
  for (;;) {
    const values = await listValuesAfter(db, after, BATCH)
    for (const { credential_id, environment, field_id, sealed_revision, value } of values) {
      const sealer = keyring.values({
        credentialId: credential_id,
        environment,
        sealedRevision: sealed_revision
      })
      try {
        sealer.open([field_id], value)
      } catch (error) {
        if (!(error instanceof DecryptionFailed)) throw error
        throw new Error(`a value of the credential ${credential_id} cannot be decrypted`)
      }
    }
    count += values.length
    after = values.at(-1)
    if (values.length < BATCH) return count
  }
}
