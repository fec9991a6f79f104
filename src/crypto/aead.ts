// nonce (12) ‖ ciphertext ‖ tag (16)
import { createCipheriv, createDecipheriv, type KeyObject, randomFillSync } from 'node:crypto'

export const KEY_BYTES = 32
export const NONCE_BYTES = 12
export const TAG_BYTES = 16

/**
 * A sealed value did not decrypt. The error is the same for every cause, so that a caller learns nothing
 * more.
 */
export class DecryptionFailed extends Error {
  constructor() {
    super('The sealed value does not open.')
    this.name = 'DecryptionFailed'
  }
}

// Nonces are cut from a pool of random bytes, because asking for 12 bytes costs more than making them. No
// byte is used twice.
const pool = Buffer.alloc(NONCE_BYTES * 256)
let used = pool.length

function newNonce(): Buffer {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const nonce = Buffer.from(pool.subarray(used, used + NONCE_BYTES))
  used += NONCE_BYTES
  return nonce
}

/** AES-256-GCM with a random nonce (NIST SP 800-38D, 8.2.2); `context` is authenticated and not stored. */
export function seal(key: KeyObject, plaintext: Buffer, context: Buffer): Buffer {
  const nonce = newNonce()
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(context)
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** Decrypts what `seal` returned. Throws DecryptionFailed if the key, the context or any byte differs. */
export function open(key: KeyObject, sealed: Buffer, context: Buffer): Buffer {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new DecryptionFailed()
  const tagStart = sealed.length - TAG_BYTES
  const nonce = sealed.subarray(0, NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(context)
  decipher.setAuthTag(sealed.subarray(tagStart))
  const plaintext = decipher.update(sealed.subarray(NONCE_BYTES, tagStart))
  try {
    decipher.final()
  } catch {
    throw new DecryptionFailed()
  }
  return plaintext
}

/**
 * Joins the parts, each after its length (4 bytes, big-endian), so that different lists give different bytes.
 */
export function framed(parts: readonly string[]): Buffer {
  const bytes = Buffer.allocUnsafe(parts.reduce((size, part) => size + 4 + Buffer.byteLength(part), 0))
  let at = 0
  for (const part of parts) {
    const length = bytes.write(part, at + 4)
    bytes.writeUInt32BE(length, at)
    at += 4 + length
  }
  return bytes
}
