import { record, systemOrigin } from '../../audit/record.ts'
import { type DataKeys, Keyring } from '../../crypto/keyring.ts'
import { type Database, inTransaction } from '../../db/database.ts'
import type { RootKey } from '../../root-keys/root-key.ts'
import { currentOf, keyEvent, newDataKey, requireRootKeys, unwrapAll, wrap } from './data-keys.ts'
import {
  type DataKeyRow,
  insertDataKey,
  listDataKeys,
  listRootKeyFingerprints,
  lockDataKeys,
  rewrapDataKey
} from './repository.ts'

/**
 * Opens the keyring for the start of the service: creates the first data key if there is none, and wraps
 * again, by the first root key, those that another one has wrapped. Throws WrongRootKey, without having
 * written anything, if `rootKeys` do not open every data key.
 */
export async function prepareKeyring(db: Database, rootKeys: readonly RootKey[]): Promise<Keyring> {
  await ensureFirstKey(db, rootKeys[0]!)
  for (;;) {
    const rows = await listDataKeys(db)
    const keys = await unwrapAll(rootKeys, rows)
    if (await rewrapAll(db, rootKeys[0]!, rows, keys)) return keyringOf(db, rootKeys, rows, keys)
  }
}

/**
 * Unwraps all data keys into a keyring, and writes nothing. Throws WrongRootKey if `rootKeys` do not open all
 * of them, and an error if there is none.
 */
export async function openKeyring(db: Database, rootKeys: readonly RootKey[]): Promise<Keyring> {
  const rows = await listDataKeys(db)
  if (rows.length === 0)
    throw new Error('the database has no data key: the first start of the service creates it')
  return keyringOf(db, rootKeys, rows, await unwrapAll(rootKeys, rows))
}

function keyringOf(
  db: Database,
  rootKeys: readonly RootKey[],
  rows: readonly DataKeyRow[],
  keys: ReadonlyMap<number, Buffer>
): Keyring {
  return new Keyring(keys, currentOf(rows), (loaded) => readDataKeys(db, rootKeys, loaded))
}

/** Throws WrongRootKey if data keys that the role of `db` may read are under a root key that is not given. */
export async function requireRootKeysInUse(db: Database, rootKeys: readonly RootKey[]): Promise<void> {
  requireRootKeys(rootKeys, await listRootKeyFingerprints(db))
}

// The root key may be in a remote KMS, so it is called before the transaction and not while it holds the
// lock.
async function ensureFirstKey(db: Database, root: RootKey): Promise<void> {
  if ((await listDataKeys(db)).length > 0) return
  const key = await newDataKey(root, 1)
  await inTransaction(db, async (trx) => {
    await lockDataKeys(trx)
    if ((await listDataKeys(trx)).length > 0) return
    await insertDataKey(trx, key)
    await record(trx, systemOrigin('service'), [
      keyEvent('created', 1, { rootKey: key.rootKeyFingerprint, reason: 'first' })
    ])
  })
}

// Returns false, having changed nothing, if a data key was created meanwhile: it may be under the old root
// key. A key that another replica has rewrapped meanwhile stays as it is.
async function rewrapAll(
  db: Database,
  root: RootKey,
  rows: readonly DataKeyRow[],
  keys: ReadonlyMap<number, Buffer>
): Promise<boolean> {
  const stale = rows.filter((row) => row.root_key_fingerprint !== root.fingerprint)
  if (stale.length === 0) return true
  const rewrapped = await Promise.all(
    stale.map(async (row) => ({ row, to: await wrap(root, row.number, keys.get(row.number)!) }))
  )
  return inTransaction(db, async (trx) => {
    await lockDataKeys(trx)
    if ((await listDataKeys(trx)).some((row) => !keys.has(row.number))) return false
    const events = []
    for (const { row, to } of rewrapped) {
      if (!(await rewrapDataKey(trx, row.number, row.wrapped, to))) continue
      const fingerprints = { from: row.root_key_fingerprint, to: to.rootKeyFingerprint }
      events.push(keyEvent('rewrapped', row.number, fingerprints))
    }
    await record(trx, systemOrigin('service'), events)
    return true
  })
}

// Unwraps only new keys, so that a running service needs the key provider for nothing else.
async function readDataKeys(
  db: Database,
  rootKeys: readonly RootKey[],
  loaded: ReadonlySet<number>
): Promise<DataKeys> {
  const rows = await listDataKeys(db)
  const unwrapped = await unwrapAll(
    rootKeys,
    rows.filter((row) => !loaded.has(row.number))
  )
  return { current: currentOf(rows), numbers: rows.map((row) => row.number), unwrapped }
}
