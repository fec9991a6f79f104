import { hash, randomBytes } from 'node:crypto'

/** 256 random bits, URL-safe: 43 characters. */
export function newToken(): string {
  return randomBytes(32).toString('base64url')
}

/** What the database holds of a token: SHA-256, which suffices because the token is uniformly random. */
export function hashToken(token: string): Buffer {
  return hash('sha256', token, 'buffer')
}
