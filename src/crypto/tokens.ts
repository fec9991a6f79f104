import { hash, randomBytes } from 'node:crypto'

/** 256 random bits, URL-safe: 43 characters. */
export function newToken(): string {
  return randomBytes(32).toString('base64url')
}

/**
 * The SHA-256 that the database stores of a token. A slow hash is not needed: tokens are uniformly random.
 */
export function hashToken(token: string): Buffer {
  return hash('sha256', token, 'buffer')
}
