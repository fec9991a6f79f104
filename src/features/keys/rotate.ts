import { type Origin, record } from '../../audit/record.ts'
import { type Database, inTransaction } from '../../db/database.ts'
import type { RootKey } from '../../root-keys/root-key.ts'
import { currentOf, keyEvent, newDataKey, unwrapAll } from './data-keys.ts'
import { type DataKeyRow, insertDataKey, listDataKeys, lockDataKeys, retireDataKey } from './repository.ts'

/**
 * The first root key of this process does not wrap the data keys, so this process must not create a data key.
 */
export class RootKeyNotCurrent extends Error {
  constructor(found: readonly string[], root: RootKey) {
    super(
      `the root key ${found.join(', ')} encrypts the data keys, ` +
        `but the first one in LATCHKEY_ROOT_KEYS is ${root.fingerprint} (${root.name}): ` +
        'the services could not decrypt a new data key; use their LATCHKEY_ROOT_KEYS'
    )
    this.name = 'RootKeyNotCurrent'
  }
}

/**
 * Retires the current data key and creates the next one. Returns the number of the key that is current then.
 * If another process rotates at the same time, or the current key is not `old`, the newer key is returned
 * instead. Throws RootKeyNotCurrent, or WrongRootKey if `root` does not open the current data key, having
 * changed nothing.
 */
export async function rotateDataKey(
  db: Database,
  root: RootKey,
  origin: Origin,
  reason: 'age' | 'asked',
  old?: number
): Promise<number> {
  const before = await listDataKeys(db)
  requireCurrent(before, root)
  const current = currentOf(before)
  if (current !== (old ?? current)) return current
  // The fingerprint of a key in a KMS or Vault is made of its name. Only unwrapping proves that it is the
  // same key.
  await unwrapAll(
    [root],
    before.filter((row) => row.number === current)
  )
  const key = await newDataKey(root, Math.max(...before.map((row) => row.number)) + 1)
  return inTransaction(db, async (trx) => {
    await lockDataKeys(trx)
    const rows = await listDataKeys(trx)
    requireCurrent(rows, root)
    // Rotated by another process meanwhile.
    if (currentOf(rows) !== current) return currentOf(rows)
    await retireDataKey(trx, current)
    await insertDataKey(trx, key)
    await record(trx, origin, [
      keyEvent('retired', current, { reason }),
      keyEvent('created', key.number, { rootKey: key.rootKeyFingerprint, reason })
    ])
    return key.number
  })
}

function requireCurrent(rows: readonly DataKeyRow[], root: RootKey): void {
  const others = rows.map((row) => row.root_key_fingerprint).filter((one) => one !== root.fingerprint)
  if (others.length > 0) throw new RootKeyNotCurrent([...new Set(others)], root)
}
