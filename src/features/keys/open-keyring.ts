import { record, systemOrigin } from '../../audit/record.ts'
import { type DataKeys, Keyring } from '../../crypto/keyring.ts'
import { type Database, inTransaction, lockName } from '../../db/database.ts'
import type { RootKey } from '../../root-keys/root-key.ts'
import { keyEvent } from './events.ts'
import { type DataKeyRow, insertDataKey, listDataKeys, rewrapDataKey } from './repository.ts'
import { newDataKey, unwrapAll, wrapped } from './root-keys.ts'

/** Serialises all changes of the data keys, across all processes. */
export const DATA_KEYS_LOCK = 'data-keys'

/**
 * Unwraps all data keys, having made the first one if there is none, and wraps those anew that another than the first
 * root key has wrapped. The keyring that it gives takes up later data keys by itself. Throws WrongRootKey, having
 * written nothing, when any data key needs a root key that is not among `rootKeys` or that is not what it says.
 */
export async function openKeyring(db: Database, rootKeys: readonly RootKey[]): Promise<Keyring> {
  await makeFirst(db, rootKeys[0]!)
  for (;;) {
    const rows = await listDataKeys(db)
    const keys = await unwrapAll(rootKeys, rows)
    if (!(await rewrap(db, rootKeys[0]!, rows, keys))) continue
    return new Keyring(keys, currentOf(rows), (held) => readDataKeys(db, rootKeys, held))
  }
}

/** The number of the data key that seals. */
export function currentOf(rows: readonly Pick<DataKeyRow, 'number' | 'retired_at'>[]): number {
  const current = rows.find((row) => row.retired_at === null)
  if (!current) throw new Error('no data key in the database is current')
  return current.number
}

// The root key may be a provider far away: it is asked before the transaction, which holds the lock, and not inside.
async function makeFirst(db: Database, root: RootKey): Promise<void> {
  if ((await listDataKeys(db)).length > 0) return
  const made = await newDataKey(root, 1)
  await inTransaction(db, async (trx) => {
    await lockName(trx, DATA_KEYS_LOCK)
    if ((await listDataKeys(trx)).length > 0) return
    await insertDataKey(trx, made)
    await record(trx, systemOrigin('service'), [
      keyEvent('created', 1, { rootKey: made.rootKeyFingerprint, reason: 'first' })
    ])
  })
}

// All or none; false, with nothing done, when a data key has been made meanwhile, perhaps under the old root key. What
// another replica has wrapped anew meanwhile stays as that one did it.
async function rewrap(
  db: Database,
  root: RootKey,
  rows: readonly DataKeyRow[],
  keys: ReadonlyMap<number, Buffer>
): Promise<boolean> {
  const stale = rows.filter((row) => row.root_key_fingerprint !== root.fingerprint)
  if (stale.length === 0) return true
  const made = await Promise.all(
    stale.map(async (row) => ({ row, to: await wrapped(root, row.number, keys.get(row.number)!) }))
  )
  return inTransaction(db, async (trx) => {
    await lockName(trx, DATA_KEYS_LOCK)
    if ((await listDataKeys(trx)).some((row) => !keys.has(row.number))) return false
    const events = []
    for (const { row, to } of made) {
      if (!(await rewrapDataKey(trx, row.number, row.wrapped, to))) continue
      events.push(
        keyEvent('rewrapped', row.number, { from: row.root_key_fingerprint, to: to.rootKeyFingerprint })
      )
    }
    await record(trx, systemOrigin('service'), events)
    return true
  })
}

// Unwraps only what is new: a service that runs asks a root key's provider for nothing else.
async function readDataKeys(
  db: Database,
  rootKeys: readonly RootKey[],
  held: ReadonlySet<number>
): Promise<DataKeys> {
  const rows = await listDataKeys(db)
  const unwrapped = await unwrapAll(
    rootKeys,
    rows.filter((row) => !held.has(row.number))
  )
  return { current: currentOf(rows), numbers: rows.map((row) => row.number), unwrapped }
}
