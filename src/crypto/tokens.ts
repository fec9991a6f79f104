import { hash, randomBytes } from 'node:crypto'

/** A pattern of the name of a cell, which a token may begin with for a router to read. */
export const CELL = '[a-z0-9]{1,12}'

const SESSION_TOKEN = new RegExp(`^(?:(?<cell>${CELL})_)?[A-Za-z0-9_-]{43}$`)

/** 256 random bits, URL-safe: 43 characters. */
export function newToken(): string {
  return randomBytes(32).toString('base64url')
}

/** A new session token: a token, behind the name of its cell if it has one. */
export function newSessionToken(cell: string | undefined): string {
  return inCell(cell, newToken())
}

/** Returns the cell that a session token names, if any, or undefined if it is not of this form. */
export function parseSessionToken(text: string): { cell: string | undefined } | undefined {
  const match = SESSION_TOKEN.exec(text)
  return match ? { cell: match.groups!['cell'] } : undefined
}

/** The cell's name, a `_` and the text, or the text alone if there is no cell. */
export const inCell = (cell: string | undefined, text: string) => (cell ? `${cell}_${text}` : text)

/**
 * The SHA-256 that the database stores of a token. A slow hash is not needed: tokens are uniformly random.
 */
export function hashToken(token: string): Buffer {
  return hash('sha256', token, 'buffer')
}
