import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { framed } from './aead.ts'

const FIRST_BLOCK = Buffer.from([1])

/** HKDF-Expand with SHA-256 for one block (RFC 5869, 2.3): 32 bytes. `key` must be uniformly random (3.3). */
export function expand(key: KeyObject, info: Buffer): Buffer {
  return createHmac('sha256', key).update(info).update(FIRST_BLOCK).digest()
}

/** Derives a 32-byte key for one purpose and context. (Node takes a KeyObject at less cost than bytes.) */
export function deriveKey(key: KeyObject, label: string, context: readonly string[]): KeyObject {
  return createSecretKey(expand(key, framed([label, ...context])))
}
