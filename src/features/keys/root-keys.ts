import { randomBytes } from 'node:crypto'
import { DecryptionFailed, KEY_BYTES } from '../../crypto/aead.ts'
import type { RootKey } from '../../root-keys/root-key.ts'
import type { DataKeyRow } from './repository.ts'

/** The root keys that were given are not those that the data keys need. */
export class WrongRootKey extends Error {
  constructor(needed: readonly string[], given: readonly RootKey[]) {
    super(
      `LATCHKEY_ROOT_KEYS (or its file) has to hold the root key that this database's data keys are wrapped with: needed ${needed.join(', ')}; ` +
        `given ${given.map((key) => `${key.fingerprint} (${key.name})`).join(', ')}`
    )
    this.name = 'WrongRootKey'
  }
}

type Wrapped = Pick<DataKeyRow, 'number' | 'wrapped' | 'root_key_fingerprint'>

/**
 * The data keys of these rows. Throws WrongRootKey when any of them needs a root key that is not among `rootKeys` or that
 * is not what it says.
 */
export async function unwrapAll(
  rootKeys: readonly RootKey[],
  rows: readonly Wrapped[]
): Promise<Map<number, Buffer>> {
  const byFingerprint = new Map(rootKeys.map((key) => [key.fingerprint, key]))
  const missing = rows.filter((row) => !byFingerprint.has(row.root_key_fingerprint))
  if (missing.length > 0) {
    throw new WrongRootKey([...new Set(missing.map((row) => row.root_key_fingerprint))], rootKeys)
  }
  const keys = new Map<number, Buffer>()
  for (const row of rows) {
    try {
      const root = byFingerprint.get(row.root_key_fingerprint)!
      keys.set(row.number, await root.unwrap(row.number, row.wrapped))
    } catch (error) {
      if (!(error instanceof DecryptionFailed)) throw error
      throw new WrongRootKey([row.root_key_fingerprint], rootKeys)
    }
  }
  return keys
}

/** The data key under this root key, as its row has it. */
export async function wrapped(root: RootKey, number: number, dataKey: Buffer) {
  return { wrapped: await root.wrap(number, dataKey), rootKeyFingerprint: root.fingerprint }
}

/** A new data key under this root key. */
export async function newDataKey(root: RootKey, number: number) {
  return { number, ...(await wrapped(root, number, randomBytes(KEY_BYTES))) }
}
