// prefix ‖ name of the cell and `_`, if it has one ‖ 32 random bytes in base64url (43) ‖ CRC-32 of all before
// it in base 62 (6)
import { crc32 } from 'node:zlib'
import { CELL, inCell, newToken } from './tokens.ts'

/** The prefix says whether a token is a person's or a project's; secret scanners recognize it. */
const TOKEN_PREFIX = { personal: 'lk_pat_', project: 'lk_prj_' } as const
export type TokenKind = keyof typeof TOKEN_PREFIX

const FORM = new RegExp(`^lk_(?:pat|prj)_(?:(?<cell>${CELL})_)?[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$`)
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** A new access token: 256 random bits and a checksum, behind the name of its cell if it has one. */
export function newAccessToken(kind: TokenKind, cell?: string): string {
  const token = TOKEN_PREFIX[kind] + inCell(cell, newToken())
  return token + checksum(token)
}

/**
 * Returns the cell that an access token names, if any, or undefined if its form or checksum is wrong. The
 * database knows which tokens exist.
 */
export function parseAccessToken(text: string): { cell: string | undefined } | undefined {
  const match = FORM.exec(text)
  if (!match || checksum(text.slice(0, -6)) !== text.slice(-6)) return undefined
  return { cell: match.groups!['cell'] }
}

function checksum(text: string): string {
  let rest = crc32(text)
  let digits = ''
  for (let i = 0; i < 6; i++) {
    digits = DIGITS[rest % 62] + digits
    rest = Math.floor(rest / 62)
  }
  return digits
}
