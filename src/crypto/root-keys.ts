import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { framed, KEY_BYTES, open, seal } from './aead.ts'
import { deriveKey } from './derive.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const BASE64 = /^[A-Za-z0-9+/_-]{43}=?$/
const WRAP_FORMAT = 1

/** A key that only wraps data keys. It comes from outside of the database and never goes in. */
export class RootKey {
  readonly name: string
  /** Tells keys apart; derived one-way from 256 random bits, so it helps nobody to guess them. */
  readonly fingerprint: string
  readonly #key: KeyObject

  constructor(name: string, key: Buffer) {
    if (!NAME.test(name)) throw new RangeError('a root key needs a name of letters, digits, dots and dashes')
    if (key.length !== KEY_BYTES) throw new RangeError(`a root key has ${KEY_BYTES} bytes`)
    this.name = name
    this.#key = createSecretKey(key)
    this.fingerprint = deriveKey(this.#key, 'latchkey/root-key-fingerprint/v1', [])
      .export()
      .toString('hex', 0, 8)
  }

  /** format (1) ‖ nonce (12) ‖ data key (32) ‖ tag (16), bound to the data key's number and this root key. */
  wrap(dataKeyNumber: number, dataKey: Buffer): Buffer {
    return Buffer.concat([
      Buffer.from([WRAP_FORMAT]),
      seal(this.#wrappingKey(), dataKey, this.#context(dataKeyNumber))
    ])
  }

  /** The data key; throws DecryptionFailed when it was wrapped by another key or for another number. */
  unwrap(dataKeyNumber: number, wrapped: Buffer): Buffer {
    const context = this.#context(dataKeyNumber, wrapped[0])
    return open(this.#wrappingKey(), wrapped.subarray(1), context)
  }

  // Wrapping and fingerprint use keys of their own, so that neither says anything of the other.
  #wrappingKey() {
    return deriveKey(this.#key, 'latchkey/root-key-wrap/v1', [])
  }

  #context(dataKeyNumber: number, format = WRAP_FORMAT) {
    return framed([String(format), String(dataKeyNumber), this.fingerprint])
  }

  toJSON() {
    return { name: this.name, fingerprint: this.fingerprint }
  }

  [inspect.custom]() {
    return `RootKey ${JSON.stringify(this)}`
  }
}

/**
 * The keys of a `name:base64,name:base64` list, the current one first. Throws a RangeError that says what is
 * wrong with which entry, and holds no part of a key.
 */
export function parseRootKeys(text: string): RootKey[] {
  const entries = text.split(/[,\n]/).map((entry) => entry.trim())
  const keys = entries
    .filter((entry) => entry !== '')
    .map((entry, index) => {
      const colon = entry.indexOf(':')
      const encoded = entry.slice(colon + 1)
      if (colon < 1 || !NAME.test(entry.slice(0, colon)) || !BASE64.test(encoded)) {
        throw new RangeError(`entry ${index + 1} is not a name, a colon and 32 bytes in base64`)
      }
      return new RootKey(entry.slice(0, colon), Buffer.from(encoded, 'base64'))
    })
  if (keys.length === 0) throw new RangeError('there is no key in it')
  if (new Set(keys.map((key) => key.name)).size < keys.length) throw new RangeError('two keys have one name')
  return keys
}

/** A new random root key as one entry of such a list. */
export function newRootKey(name: string): string {
  return `${name}:${randomBytes(KEY_BYTES).toString('base64')}`
}
