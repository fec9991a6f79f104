// prefix ‖ 32 random bytes in base64url (43) ‖ CRC-32 of all before it in base 62 (6)
import { crc32 } from 'node:zlib'
import { newToken } from './tokens.ts'

/** The prefix says whether a token is a person's or a project's; secret scanners recognise it. */
export const TOKEN_PREFIX = { personal: 'lk_pat_', project: 'lk_prj_' } as const
export type TokenKind = keyof typeof TOKEN_PREFIX

const FORM = /^lk_(pat|prj)_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$/
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** A new access token: 256 random bits and a checksum. */
export function newAccessToken(kind: TokenKind): string {
  const token = TOKEN_PREFIX[kind] + newToken()
  return token + checksum(token)
}

/** Checks form and checksum only; the database knows which tokens exist. */
export function looksLikeAccessToken(text: string): boolean {
  return FORM.test(text) && checksum(text.slice(0, -6)) === text.slice(-6)
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
