import { type Origin, record } from '../../audit/record.ts'
import { type Database, inTransaction, lockName } from '../../db/database.ts'
import type { RootKey } from '../../root-keys/root-key.ts'
import { keyEvent } from './events.ts'
import { currentOf, DATA_KEYS_LOCK } from './open-keyring.ts'
import { type DataKeyRow, insertDataKey, listDataKeys, retireDataKey } from './repository.ts'
import { newDataKey, unwrapAll } from './root-keys.ts'

/** The data keys are wrapped by another root key than the first of this process, which so must not make any. */
export class RootKeyNotCurrent extends Error {
  constructor(found: readonly string[], root: RootKey) {
    super(
      `the data keys are wrapped by the root key ${found.join(', ')}, and the first of LATCHKEY_ROOT_KEYS here is ${root.fingerprint} ` +
        `(${root.name}): a new data key could not be opened by the others; give the same LATCHKEY_ROOT_KEYS as the service has`
    )
    this.name = 'RootKeyNotCurrent'
  }
}

/**
 * Retires the current data key, or `old` if that is still the current one, and makes the next one; gives the number that
 * is current then. Two at once make one. Throws RootKeyNotCurrent, or WrongRootKey when `root` does not open the current one, having changed nothing.
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
  // The fingerprint of a KMS's or Vault's key is of its name: whether it is that very key, only the key itself can tell.
  await unwrapAll(
    [root],
    before.filter((row) => row.number === current)
  )
  const made = await newDataKey(root, Math.max(...before.map((row) => row.number)) + 1)
  return inTransaction(db, async (trx) => {
    await lockName(trx, DATA_KEYS_LOCK)
    const rows = await listDataKeys(trx)
    requireCurrent(rows, root)
    // Made by another one since this one began: as new as was asked for.
    if (currentOf(rows) !== current) return currentOf(rows)
    await retireDataKey(trx, current)
    await insertDataKey(trx, made)
    await record(trx, origin, [
      keyEvent('retired', current, { reason }),
      keyEvent('created', made.number, { rootKey: made.rootKeyFingerprint, reason })
    ])
    return made.number
  })
}

function requireCurrent(rows: readonly DataKeyRow[], root: RootKey): void {
  const others = rows.map((row) => row.root_key_fingerprint).filter((one) => one !== root.fingerprint)
  if (others.length > 0) throw new RootKeyNotCurrent([...new Set(others)], root)
}
