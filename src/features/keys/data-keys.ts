import { randomBytes } from 'node:crypto'
import type { AuditEvent } from '../../audit/record.ts'
import { DecryptionFailed, KEY_BYTES } from '../../crypto/aead.ts'
import type { RootKey } from '../../root-keys/root-key.ts'
import type { DataKeyRow, WrappedKey } from './repository.ts'

/** The configured root keys cannot decrypt the data keys. */
export class WrongRootKey extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'WrongRootKey'
  }
}

/** Throws WrongRootKey if the root key of any of these fingerprints is not among `rootKeys`. */
export function requireRootKeys(rootKeys: readonly RootKey[], fingerprints: readonly string[]): void {
  const given = new Set(rootKeys.map((key) => key.fingerprint))
  const missing = fingerprints.filter((one) => !given.has(one))
  if (missing.length === 0) return
  throw new WrongRootKey(
    'LATCHKEY_ROOT_KEYS (its file, or root.keys) must contain the root key that encrypts the data keys of ' +
      `this database: needed ${[...new Set(missing)].join(', ')}; ` +
      `given ${rootKeys.map((key) => `${key.fingerprint} (${key.name})`).join(', ')}`
  )
}

/**
 * Unwraps the data keys of these rows. Throws WrongRootKey if the root key of any is not among `rootKeys`, or
 * does not open it.
 */
export async function unwrapAll(
  rootKeys: readonly RootKey[],
  rows: readonly Pick<DataKeyRow, 'number' | 'wrapped' | 'root_key_fingerprint'>[]
): Promise<Map<number, Buffer>> {
  const byFingerprint = new Map(rootKeys.map((key) => [key.fingerprint, key]))
  requireRootKeys(
    rootKeys,
    rows.map((row) => row.root_key_fingerprint)
  )
  const keys = new Map<number, Buffer>()
  for (const { number, wrapped, root_key_fingerprint } of rows) {
    const root = byFingerprint.get(root_key_fingerprint)!
    keys.set(number, await unwrap(root, number, wrapped))
  }
  return keys
}

async function unwrap(root: RootKey, number: number, wrapped: Buffer): Promise<Buffer> {
  try {
    return await root.unwrap(number, wrapped)
  } catch (error) {
    if (!(error instanceof DecryptionFailed)) throw error
    // The fingerprint of a key in a KMS or Vault is derived from its name, and another KMS may have a key of
    // the same name.
    throw new WrongRootKey(
      `the root key ${root.fingerprint} (${root.name}) does not decrypt data key ${number}, although ` +
        'it has the right fingerprint: check that this is the KMS, Vault or account that the service uses; ' +
        'see "A key is lost" in docs/operations/keys.md'
    )
  }
}

export async function wrap(root: RootKey, number: number, dataKey: Buffer): Promise<WrappedKey> {
  return { wrapped: await root.wrap(number, dataKey), rootKeyFingerprint: root.fingerprint }
}

/** Creates a random data key, wrapped by this root key. */
export async function newDataKey(root: RootKey, number: number): Promise<WrappedKey & { number: number }> {
  return { number, ...(await wrap(root, number, randomBytes(KEY_BYTES))) }
}

/** The number of the data key that encrypts. */
export function currentOf(rows: readonly Pick<DataKeyRow, 'number' | 'retired_at'>[]): number {
  const current = rows.find((row) => row.retired_at === null)
  if (!current) throw new Error('the database has no current data key')
  return current.number
}

/** An audit event of a data key. A data key has no id; its number is its name. */
export function keyEvent(
  action: 'created' | 'retired' | 'destroyed' | 'rewrapped',
  number: number,
  details: AuditEvent['details'] = {}
): AuditEvent {
  return {
    action: `data-key.${action}`,
    target: { type: 'data-key', id: null, name: String(number) },
    details: { number, ...details }
  }
}
