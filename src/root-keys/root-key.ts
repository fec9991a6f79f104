/**
 * A key that wraps data keys and does nothing else. It is never stored in the database; beside each wrapped
 * data key, the database stores the fingerprint of its root key.
 */
export interface RootKey {
  readonly name: string
  /** Identifies the key and reveals nothing of it. */
  readonly fingerprint: string
  /** Encrypts a data key, bound to its number. Throws RootKeyUnavailable. */
  wrap(dataKeyNumber: number, dataKey: Buffer): Promise<Buffer>
  /**
   * Decrypts a data key. Throws DecryptionFailed if it was wrapped by another key or for another number, and
   * RootKeyUnavailable if the provider of the key cannot be reached or refuses.
   */
  unwrap(dataKeyNumber: number, wrapped: Buffer): Promise<Buffer>
}

/** The provider of a root key cannot be reached, or refuses. The message is one line without a secret. */
export class RootKeyUnavailable extends Error {
  constructor(key: string, reason: string) {
    super(`${key} cannot be used: ${reason}`)
    this.name = 'RootKeyUnavailable'
  }
}
