/**
 * A key that only wraps data keys. It is never in the database, which stores each wrapped data key with the
 * fingerprint of its root key.
 */
export interface RootKey {
  readonly name: string
  /** Identifies the key without revealing it. */
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
