// format (1) ‖ nonce (12) ‖ data key (32) ‖ tag (16)
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { DecryptionFailed, framed, KEY_BYTES, open, seal } from '../crypto/aead.ts'
import { deriveKey } from '../crypto/derive.ts'
import type { RootKey } from './root-key.ts'

const WRAP_FORMAT = 1

/** A root key of 32 bytes in the memory of this process. */
export class LocalRootKey implements RootKey {
  readonly name: string
  readonly fingerprint: string
  readonly #key: KeyObject

  constructor(name: string, key: Buffer) {
    if (key.length !== KEY_BYTES) throw new RangeError(`a root key must have ${KEY_BYTES} bytes`)
    this.name = name
    this.#key = createSecretKey(key)
    this.fingerprint = deriveKey(this.#key, 'latchkey/root-key-fingerprint/v1', [])
      .export()
      .toString('hex', 0, 8)
  }

  async wrap(dataKeyNumber: number, dataKey: Buffer): Promise<Buffer> {
    return Buffer.concat([
      Buffer.from([WRAP_FORMAT]),
      seal(this.#wrappingKey(), dataKey, this.#context(dataKeyNumber))
    ])
  }

  async unwrap(dataKeyNumber: number, wrapped: Buffer): Promise<Buffer> {
    if (wrapped[0] !== WRAP_FORMAT) throw new DecryptionFailed()
    return open(this.#wrappingKey(), wrapped.subarray(1), this.#context(dataKeyNumber))
  }

  // Wrapping and the fingerprint use different derived keys, so that neither reveals the other.
  #wrappingKey() {
    return deriveKey(this.#key, 'latchkey/root-key-wrap/v1', [])
  }

  #context(dataKeyNumber: number) {
    return framed([String(WRAP_FORMAT), String(dataKeyNumber), this.fingerprint])
  }

  toJSON() {
    return { name: this.name, fingerprint: this.fingerprint }
  }

  [inspect.custom]() {
    return `RootKey ${JSON.stringify(this)}`
  }
}

/** A new random root key, as an entry of a list. */
export function newRootKey(name: string): string {
  return `${name}:${randomBytes(KEY_BYTES).toString('base64')}`
}
