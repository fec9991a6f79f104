import { randomBytes } from 'node:crypto'
import { DecryptionFailed, KEY_BYTES } from '../../crypto/aead.ts'
import type { RootKey } from '../../root-keys/root-key.ts'
import type { DataKeyRow } from './repository.ts'

/** The root keys that were given are not those that the data keys need. */
export class WrongRootKey extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'WrongRootKey'
  }
}

const missing = (needed: readonly string[], given: readonly RootKey[]) =>
  new WrongRootKey(
    `LATCHKEY_ROOT_KEYS (or its file) has to hold the root key that this database's data keys are wrapped with: needed ${needed.join(', ')}; ` +
      `given ${given.map((key) => `${key.fingerprint} (${key.name})`).join(', ')}`
  )

// A KMS or Vault is known by the name of its key: another one may have a key of that name.
const another = (number: number, root: RootKey) =>
  new WrongRootKey(
    `data key ${number} does not open with the root key ${root.fingerprint} (${root.name}), though it was wrapped by one of this ` +
      'fingerprint: is this the KMS, Vault or account that the service uses? See "A data key does not open" in docs/operations/keys.md'
  )

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
  const others = rows.map((row) => row.root_key_fingerprint).filter((one) => !byFingerprint.has(one))
  if (others.length > 0) throw missing([...new Set(others)], rootKeys)
  const keys = new Map<number, Buffer>()
  for (const row of rows) {
    const root = byFingerprint.get(row.root_key_fingerprint)!
    try {
      keys.set(row.number, await root.unwrap(row.number, row.wrapped))
    } catch (error) {
      throw error instanceof DecryptionFailed ? another(row.number, root) : error
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
