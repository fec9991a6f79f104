import { createHmac } from 'node:crypto'
import { framed } from './aead.ts'

const ONE = Buffer.from([1])

/** HKDF-Expand with SHA-256 for one block (RFC 5869, 2.3): 32 bytes. `key` must be uniformly random (3.3). */
export function expand(key: Buffer, info: Buffer): Buffer {
  return createHmac('sha256', key).update(info).update(ONE).digest()
}

/** The 32-byte key for one purpose and one context under `key`. */
export function deriveKey(key: Buffer, label: string, context: readonly string[]): Buffer {
  return expand(key, framed([label, ...context]))
}
