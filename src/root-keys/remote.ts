// format (1) ‖ the data key as the keeper encrypted it
import { createHash, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'
import { DecryptionFailed, framed, KEY_BYTES } from '../crypto/aead.ts'
import { CallFailed, deadlineFromNow, persistently } from './calls.ts'
import { type RootKey, RootKeyUnavailable } from './root-key.ts'

const WRAP_FORMAT = 1

/** Who has a root key and never gives it out: one that encrypts and decrypts, bound to the data key's number. */
export interface Keeper {
  /** As messages name it: `AWS KMS`. */
  readonly title: string
  /** Which key of which kind; not secret. The fingerprint is made of it. */
  readonly identity: readonly [kind: string, key: string]
  /** Loads what the first call needs and what therefore does not count to its time. */
  prepare?(): Promise<void>
  /** Throws CallFailed. */
  encrypt(dataKeyNumber: number, dataKey: Buffer, signal: AbortSignal): Promise<Buffer>
  /** Throws DecryptionFailed for what this key did not encrypt for this number, else CallFailed. */
  decrypt(dataKeyNumber: number, encrypted: Buffer, signal: AbortSignal): Promise<Buffer>
}

/** A root key that a keeper has; each wrap and unwrap is a call to it, with time-outs and a few attempts. */
export class RemoteRootKey implements RootKey {
  readonly name: string
  readonly fingerprint: string
  readonly #keeper: Keeper

  constructor(name: string, keeper: Keeper) {
    this.name = name
    this.#keeper = keeper
    this.fingerprint = createHash('sha256')
      .update(framed(['latchkey/root-key-identity/v1', ...keeper.identity]))
      .digest('hex')
      .slice(0, 16)
  }

  async wrap(dataKeyNumber: number, dataKey: Buffer): Promise<Buffer> {
    const deadline = deadlineFromNow()
    const encrypted = await this.#call(deadline, (signal) =>
      this.#keeper.encrypt(dataKeyNumber, dataKey, signal)
    )
    const wrapped = Buffer.concat([Buffer.from([WRAP_FORMAT]), encrypted])
    // A data key that could be wrapped and not unwrapped would take all its values with it at the next start.
    const again = await this.#decrypt(deadline, dataKeyNumber, encrypted).catch((error) => {
      throw error instanceof DecryptionFailed
        ? this.#unavailable('it does not decrypt what it encrypted')
        : error
    })
    if (!timingSafeEqual(again, dataKey)) throw this.#unavailable('it decrypts to something else')
    return wrapped
  }

  async unwrap(dataKeyNumber: number, wrapped: Buffer): Promise<Buffer> {
    if (wrapped[0] !== WRAP_FORMAT || wrapped.length === 1) throw new DecryptionFailed()
    return this.#decrypt(deadlineFromNow(), dataKeyNumber, wrapped.subarray(1))
  }

  async #decrypt(deadline: number, dataKeyNumber: number, encrypted: Buffer): Promise<Buffer> {
    const dataKey = await this.#call(deadline, (signal) =>
      this.#keeper.decrypt(dataKeyNumber, encrypted, signal)
    )
    if (dataKey.length !== KEY_BYTES)
      throw this.#unavailable('it answered with something that is no data key')
    return dataKey
  }

  async #call(deadline: number, call: (signal: AbortSignal) => Promise<Buffer>): Promise<Buffer> {
    await this.#keeper.prepare?.()
    try {
      return await persistently(deadline, call)
    } catch (error) {
      // Without its cause, which may hold what was sent or answered.
      throw error instanceof CallFailed ? this.#unavailable(error.message) : error
    }
  }

  #unavailable(reason: string) {
    return new RootKeyUnavailable(`${this.#keeper.title} key "${this.name}"`, reason)
  }

  toJSON() {
    return { name: this.name, fingerprint: this.fingerprint }
  }

  [inspect.custom]() {
    return `RootKey ${JSON.stringify(this)}`
  }
}
