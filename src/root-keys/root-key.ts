/**
 * A key that only wraps data keys. It comes from outside of the database and never goes in. The database keeps, beside
 * each wrapped data key, the fingerprint of the root key that wrapped it.
 */
export interface RootKey {
  readonly name: string
  /** Tells keys apart, and helps nobody to guess one. */
  readonly fingerprint: string
  /** The data key as it may be stored, bound to its number. Throws RootKeyUnavailable. */
  wrap(dataKeyNumber: number, dataKey: Buffer): Promise<Buffer>
  /**
   * The data key again. Throws DecryptionFailed when it was wrapped by another key or for another number, and
   * RootKeyUnavailable when whoever has the key cannot be reached or refuses.
   */
  unwrap(dataKeyNumber: number, wrapped: Buffer): Promise<Buffer>
}

/** The keeper of a root key cannot be reached, or refuses. One line: which key, and why; nothing secret. */
export class RootKeyUnavailable extends Error {
  constructor(key: string, reason: string) {
    super(`${key} cannot be used: ${reason}`)
    this.name = 'RootKeyUnavailable'
  }
}
