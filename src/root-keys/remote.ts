// format (1) ‖ the data key as the provider encrypted it
import { createHash, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'
import { DecryptionFailed, framed, KEY_BYTES } from '../crypto/aead.ts'
import { newDeadline, ProviderError, withRetries } from './retry.ts'
import { type RootKey, RootKeyUnavailable } from './root-key.ts'

const WRAP_FORMAT = 1

/**
 * A service that stores a root key and never returns it. It encrypts and decrypts data keys, bound to their
 * numbers.
 */
export interface KeyProvider {
  /** Its name in messages, such as `AWS KMS`. */
  readonly title: string
  /** Identifies the key; not secret. The fingerprint is derived from it. */
  readonly identity: readonly [kind: string, key: string]
  /** Loads what the first call needs, outside its time-out. */
  prepare?(): Promise<void>
  /** Throws ProviderError. */
  encrypt(dataKeyNumber: number, dataKey: Buffer, signal: AbortSignal): Promise<Buffer>
  /** Throws DecryptionFailed if this key did not encrypt it for this number, and ProviderError otherwise. */
  decrypt(dataKeyNumber: number, encrypted: Buffer, signal: AbortSignal): Promise<Buffer>
}

/** A root key in a provider: each wrap and unwrap is a call to it, with time-outs and retries. */
export class RemoteRootKey implements RootKey {
  readonly name: string
  readonly fingerprint: string
  readonly #provider: KeyProvider

  constructor(name: string, provider: KeyProvider) {
    this.name = name
    this.#provider = provider
    this.fingerprint = createHash('sha256')
      .update(framed(['latchkey/root-key-identity/v1', ...provider.identity]))
      .digest('hex')
      .slice(0, 16)
  }

  async wrap(dataKeyNumber: number, dataKey: Buffer): Promise<Buffer> {
    const deadline = newDeadline()
    const encrypted = await this.#call(deadline, (signal) =>
      this.#provider.encrypt(dataKeyNumber, dataKey, signal)
    )
    const wrapped = Buffer.concat([Buffer.from([WRAP_FORMAT]), encrypted])
    // Checked now: at the next start, the values of a data key that does not unwrap would be lost.
    const unwrapped = await this.#decrypt(deadline, dataKeyNumber, encrypted).catch((error) => {
      throw error instanceof DecryptionFailed
        ? this.#unavailable('it does not decrypt what it encrypted')
        : error
    })
    if (!timingSafeEqual(unwrapped, dataKey))
      throw this.#unavailable('it does not decrypt to what it encrypted')
    return wrapped
  }

  async unwrap(dataKeyNumber: number, wrapped: Buffer): Promise<Buffer> {
    if (wrapped[0] !== WRAP_FORMAT || wrapped.length === 1) throw new DecryptionFailed()
    return this.#decrypt(newDeadline(), dataKeyNumber, wrapped.subarray(1))
  }

  async #decrypt(deadline: number, dataKeyNumber: number, encrypted: Buffer): Promise<Buffer> {
    const dataKey = await this.#call(deadline, (signal) =>
      this.#provider.decrypt(dataKeyNumber, encrypted, signal)
    )
    if (dataKey.length !== KEY_BYTES) throw this.#unavailable('its response is not a data key')
    return dataKey
  }

  async #call(deadline: number, call: (signal: AbortSignal) => Promise<Buffer>): Promise<Buffer> {
    await this.#provider.prepare?.()
    try {
      return await withRetries(deadline, call)
    } catch (error) {
      // Without a cause, which may contain what was sent or received.
      throw error instanceof ProviderError ? this.#unavailable(error.message) : error
    }
  }

  #unavailable(reason: string) {
    return new RootKeyUnavailable(`${this.#provider.title} key "${this.name}"`, reason)
  }

  toJSON() {
    return { name: this.name, fingerprint: this.fingerprint }
  }

  [inspect.custom]() {
    return `RootKey ${JSON.stringify(this)}`
  }
}
