import { setTimeout as sleep } from 'node:timers/promises'
import { DecryptionFailed } from '../../crypto/aead.ts'
import type { Keyring } from '../../crypto/keyring.ts'
import { type Database, inTransaction } from '../../db/database.ts'
import { isCurrent, listDataKeys } from './repository.ts'
import {
  type CredentialSize,
  listCredentialsUnderKey,
  listValuesUnderKey,
  lockSkipLocked,
  type SealedValue,
  updateValues
} from './sealed-values-repository.ts'
import { reencryptSigningKey } from './signing-key.ts'

/**
 * The limits of a transaction: it locks credentials that writers wait for, and encryption blocks the event
 * loop.
 */
const BATCH_CREDENTIALS = 20
const BATCH_BYTES = 512 * 1024
/** The pause after a batch is this many times its duration, so that requests come first. */
const PAUSE_FACTOR = 4
const MIN_PAUSE_MS = 50
const LOWEST_ID = '00000000-0000-0000-0000-000000000000'

export interface ReencryptionResult {
  /** The number of values that were sealed under the current data key. */
  values: number
  /** Credentials with a value that does not decrypt; it stays as it is. */
  damaged: string[]
  /** The number of credentials that were locked by other transactions, and are left for the next pass. */
  skipped: number
}

/**
 * Re-encrypts all values under retired data keys with the current one, in small transactions with pauses in
 * between. Revisions and times of the credentials do not change. Replicas may run it at the same time, and it
 * may be interrupted: the next pass finds the rest. Stops if the keyring does not have the current data key.
 */
export async function reencryptAll(
  db: Database,
  keyring: Keyring,
  { signal, onBatch }: { signal?: AbortSignal; onBatch?: (batch: ReencryptionResult) => void } = {}
): Promise<ReencryptionResult> {
  const total: ReencryptionResult = { values: 0, damaged: [], skipped: 0 }
  if (await reencryptSigningKey(db, keyring)) total.values++
  const retired = (await listDataKeys(db)).filter((row) => row.retired_at !== null)
  for (const { number } of retired) {
    let after = LOWEST_ID
    for (;;) {
      if (signal?.aborted) return total
      const startedAt = performance.now()
      const ids = firstBatch(await listCredentialsUnderKey(db, number, after, BATCH_CREDENTIALS))
      if (ids.length === 0) break
      const batch = await reencryptBatch(db, keyring, number, ids)
      if (!batch) return total
      total.values += batch.values
      total.damaged.push(...batch.damaged)
      total.skipped += batch.skipped
      onBatch?.(batch)
      after = ids.at(-1)!
      const pause = Math.max(MIN_PAUSE_MS, PAUSE_FACTOR * (performance.now() - startedAt))
      await sleep(pause, undefined, signal ? { signal, ref: false } : {}).catch(() => {})
    }
  }
  return total
}

/** Returns the ids of the first credentials, up to BATCH_BYTES in total, but at least one. */
function firstBatch(credentials: readonly CredentialSize[]): string[] {
  let total = 0
  const end = credentials.findIndex(({ bytes }, index) => {
    total += bytes
    return index > 0 && total > BATCH_BYTES
  })
  return credentials.slice(0, end < 0 ? credentials.length : end).map(({ id }) => id)
}

// Returns undefined, having changed nothing, if the keyring's current data key is retired: sealing under it
// would undo the work of other replicas.
async function reencryptBatch(
  db: Database,
  keyring: Keyring,
  from: number,
  ids: readonly string[]
): Promise<ReencryptionResult | undefined> {
  return inTransaction(db, async (trx) => {
    const to = keyring.current
    if (!(await isCurrent(trx, to))) return undefined
    const locked = await lockSkipLocked(trx, ids)
    const revisions = new Map(locked.map((one) => [one.id, one.sealed_revision]))
    const damaged = new Set<string>()
    const sealed: SealedValue[] = []
    const values = await listValuesUnderKey(trx, [...revisions.keys()], from)
    // The loop below awaits nothing, so the keyring's current data key does not change in it.
    if (keyring.current !== to) return undefined
    for (const old of values) {
      const { credential_id: credentialId, environment, field_id } = old
      const sealedRevision = revisions.get(credentialId)!
      try {
        const sealer = keyring.values({ credentialId, environment, sealedRevision })
        sealed.push({ ...old, value: sealer.seal([field_id], sealer.open([field_id], old.value)) })
      } catch (error) {
        if (!(error instanceof DecryptionFailed)) throw error
        damaged.add(credentialId)
      }
    }
    if (sealed.length > 0) await updateValues(trx, sealed, to)
    return { values: sealed.length, damaged: [...damaged], skipped: ids.length - locked.length }
  })
}
