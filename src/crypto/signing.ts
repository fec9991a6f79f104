import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify
} from 'node:crypto'
import { inspect } from 'node:util'

/** Returns a new Ed25519 private key as PKCS #8. */
export function newSigningKey(): Buffer {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' })
}

/** Signs, and verifies its own signatures. */
export class SigningKey {
  readonly #private: KeyObject
  readonly #public: KeyObject

  constructor(pkcs8: Buffer) {
    this.#private = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
    this.#public = createPublicKey(this.#private)
  }

  /** The public key as PEM. */
  get publicKey(): string {
    return this.#public.export({ format: 'pem', type: 'spki' }).toString()
  }

  sign(data: Buffer): Buffer {
    return sign(null, data, this.#private)
  }

  verify(data: Buffer, signature: Buffer): boolean {
    return verify(null, data, this.#public, signature)
  }

  toJSON() {
    return { publicKey: this.publicKey }
  }

  [inspect.custom]() {
    return 'SigningKey'
  }
}
