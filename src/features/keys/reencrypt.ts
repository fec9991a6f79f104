import { setTimeout as sleep } from 'node:timers/promises'
import { DecryptionFailed } from '../../crypto/aead.ts'
import type { Keyring } from '../../crypto/keyring.ts'
import { type Database, inTransaction } from '../../db/database.ts'
import { listDataKeys } from './repository.ts'
import {
  type Holder,
  listHolders,
  listValues,
  lockFree,
  putValues,
  type SealedValue
} from './sealed-values-repository.ts'

/** What one transaction takes on at the most: it holds rows that writers wait for, and the event loop while it ciphers. */
const BATCH = 20
const BATCH_BYTES = 512 * 1024
/** After each batch, so many times as long as it took, and at least so long: readers and writers come first. */
const REST = 4
const LEAST_REST_MS = 50
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000'

/** What became of a batch, or of a pass. */
export interface Reencrypted {
  /** Values that are under the current key now. */
  values: number
  /** Credentials with a value that does not open, and so stays as it is. */
  damaged: string[]
  /** Credentials that were left for the next pass: somebody was changing them. */
  skipped: number
}

/**
 * Walks once through all values that are under retired data keys and seals them under the current one, in small
 * transactions with rests between. Nothing else of a credential changes: not its revisions, not its times. Replicas may
 * do it at once, and it may end at any point: what is left is found by the next pass. Does nothing here while the
 * keyring is not up to date.
 */
export async function reencryptAll(
  db: Database,
  keyring: Keyring,
  { signal, onBatch }: { signal?: AbortSignal; onBatch?: (batch: Reencrypted) => void } = {}
): Promise<Reencrypted> {
  const all: Reencrypted = { values: 0, damaged: [], skipped: 0 }
  const retired = (await listDataKeys(db)).filter((row) => row.retired_at !== null)
  for (const { number } of retired) {
    let after = BEFORE_ALL
    for (;;) {
      if (signal?.aborted) return all
      const began = performance.now()
      const holders = within(await listHolders(db, number, after, BATCH))
      if (holders.length === 0) break
      const ids = holders.map((holder) => holder.id)
      const batch = await reencryptBatch(db, keyring, number, ids)
      if (!batch) return all
      all.values += batch.values
      all.damaged.push(...batch.damaged)
      all.skipped += batch.skipped
      onBatch?.(batch)
      after = ids.at(-1)!
      const rest = Math.max(LEAST_REST_MS, REST * (performance.now() - began))
      await sleep(rest, undefined, signal ? { signal, ref: false } : {}).catch(() => {})
    }
  }
  return all
}

/** The first of them, as many as have no more bytes together than a batch may; one, however large. */
function within(holders: readonly Holder[]): Holder[] {
  let bytes = 0
  const end = holders.findIndex((holder, index) => {
    bytes += holder.bytes
    return index > 0 && bytes > BATCH_BYTES
  })
  return holders.slice(0, end < 0 ? holders.length : end)
}

// Undefined, with nothing done, when the key that is current here is not the current one: to seal under a retired key
// would undo what others do.
async function reencryptBatch(
  db: Database,
  keyring: Keyring,
  from: number,
  ids: readonly string[]
): Promise<Reencrypted | undefined> {
  return inTransaction(db, async (trx) => {
    const to = keyring.current
    const row = await trx
      .selectFrom('data_keys')
      .where('number', '=', to)
      .where('retired_at', 'is', null)
      .select('number')
      .executeTakeFirst()
    if (!row) return undefined
    const locked = await lockFree(trx, ids)
    const revisions = new Map(locked.map((one) => [one.id, one.sealed_revision]))
    const damaged = new Set<string>()
    const sealed: SealedValue[] = []
    const values = await listValues(trx, [...revisions.keys()], from)
    // From here to the end of the loop nothing is awaited, so what is current here stays so.
    if (keyring.current !== to) return undefined
    for (const old of values) {
      const { credential_id: credentialId, environment, field_id } = old
      const sealedRevision = revisions.get(credentialId)!
      try {
        const box = keyring.values({ credentialId, environment, sealedRevision })
        sealed.push({ ...old, value: box.seal([field_id], box.open([field_id], old.value)) })
      } catch (error) {
        if (!(error instanceof DecryptionFailed)) throw error
        damaged.add(credentialId)
      }
    }
    if (sealed.length > 0) await putValues(trx, sealed, to)
    return { values: sealed.length, damaged: [...damaged], skipped: ids.length - locked.length }
  })
}
