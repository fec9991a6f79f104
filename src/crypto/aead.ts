// nonce (12) ‖ ciphertext ‖ tag (16)
import { createCipheriv, createDecipheriv, type KeyObject, randomFillSync } from 'node:crypto'

export const KEY_BYTES = 32
export const NONCE_BYTES = 12
export const TAG_BYTES = 16

/** A sealed value that is not what it says it is. One error for every cause: a caller learns nothing more. */
export class DecryptionFailed extends Error {
  constructor() {
    super('The sealed value does not open.')
    this.name = 'DecryptionFailed'
  }
}

// Random bytes are asked for in lots, since asking takes longer than making them. Each is used once.
const lot = Buffer.alloc(NONCE_BYTES * 256)
let used = lot.length

function newNonce(): Buffer {
  if (used === lot.length) {
    randomFillSync(lot)
    used = 0
  }
  const nonce = Buffer.from(lot.subarray(used, used + NONCE_BYTES))
  used += NONCE_BYTES
  return nonce
}

/** Seals with AES-256-GCM under a random nonce (NIST SP 800-38D, 8.2.2); `context` is authenticated, not stored. */
export function seal(key: KeyObject, plaintext: Buffer, context: Buffer): Buffer {
  const nonce = newNonce()
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(context)
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** The plaintext of `sealed`; throws DecryptionFailed unless key, context and every byte are those of the sealing. */
export function open(key: KeyObject, sealed: Buffer, context: Buffer): Buffer {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new DecryptionFailed()
  const tagStart = sealed.length - TAG_BYTES
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES
  })
  decipher.setAAD(context)
  decipher.setAuthTag(sealed.subarray(tagStart))
  const head = decipher.update(sealed.subarray(NONCE_BYTES, tagStart))
  try {
    decipher.final()
  } catch {
    throw new DecryptionFailed()
  }
  return head
}

/** The parts one after the other, each behind its length (4 bytes, big-endian), so that no two lists are alike. */
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
