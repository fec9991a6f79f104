import { randomBytes } from 'node:crypto'
import { DecryptionFailed, KEY_BYTES } from '../../crypto/aead.ts'
import { Keyring } from '../../crypto/keyring.ts'
import type { RootKey } from '../../crypto/root-keys.ts'
import { type Database, inTransaction, lockName } from '../../db/database.ts'
import { insertDataKey, listDataKeys } from './repository.ts'

/** The root keys that were given are not those that the data keys need. */
export class WrongRootKey extends Error {
  constructor(needed: readonly string[], given: readonly RootKey[]) {
    super(
      `LATCHKEY_ROOT_KEYS has to hold the root key that this database's data keys are wrapped with: needed ${needed.join(', ')}; ` +
        `given ${given.map((key) => `${key.fingerprint} (${key.name})`).join(', ')}`
    )
    this.name = 'WrongRootKey'
  }
}

/**
 * Unwraps all data keys, having made the first one if there is none. Throws WrongRootKey, having written nothing,
 * when any of them needs a root key that is not among `rootKeys` or that is not what it says.
 */
export async function openKeyring(db: Database, rootKeys: readonly RootKey[]): Promise<Keyring> {
  const rows = await inTransaction(db, async (trx) => {
    await lockName(trx, 'data-keys')
    const existing = await listDataKeys(trx)
    if (existing.length > 0) return existing
    const root = rootKeys[0]!
    const wrapped = root.wrap(1, randomBytes(KEY_BYTES))
    await insertDataKey(trx, { number: 1, wrapped, rootKeyFingerprint: root.fingerprint })
    return listDataKeys(trx)
  })
  const byFingerprint = new Map(rootKeys.map((key) => [key.fingerprint, key]))
  const missing = rows.filter((row) => !byFingerprint.has(row.root_key_fingerprint))
  if (missing.length > 0) {
    throw new WrongRootKey([...new Set(missing.map((row) => row.root_key_fingerprint))], rootKeys)
  }
  const keys = new Map<number, Buffer>()
  for (const row of rows) {
    try {
      keys.set(row.number, byFingerprint.get(row.root_key_fingerprint)!.unwrap(row.number, row.wrapped))
    } catch (error) {
      if (!(error instanceof DecryptionFailed)) throw error
      throw new WrongRootKey([row.root_key_fingerprint], rootKeys)
    }
  }
  return new Keyring(keys, rows.find((row) => !row.retired_at)!.number)
}
