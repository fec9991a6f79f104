import type { FastifyRequest } from 'fastify'
import { looksLikeAccessToken } from '../crypto/access-tokens.ts'
import { hashToken } from '../crypto/tokens.ts'
import { Unauthenticated } from '../http/problems.ts'

/** The token of a request, before authentication: a session cookie, or an access token in `Authorization`. */
export interface PresentedToken {
  readonly kind: 'session' | 'access-token'
  readonly hash: Buffer
}

const SESSION_TOKEN = /^[A-Za-z0-9_-]{43}$/

/** The session cookie's name. Over https its prefix makes browsers refuse weaker settings (RFC 6265bis). */
export function cookieName(publicOrigin: string | undefined): string {
  return publicOrigin?.startsWith('https:') ? '__Host-latchkey_session' : 'latchkey_session'
}

/** Reads the token (RFC 6750 section 2.1). Throws Unauthenticated if there is none, or if it is malformed. */
export function presentedToken({ headers, cookies }: FastifyRequest, cookie: string): PresentedToken {
  // The cookie is not used in place of an invalid Authorization header.
  if (headers.authorization !== undefined) {
    const token = /^Bearer +(\S+)$/i.exec(headers.authorization)?.[1]
    if (!token || !looksLikeAccessToken(token)) throw new Unauthenticated()
    return { kind: 'access-token', hash: hashToken(token) }
  }
  const token = cookies[cookie]
  if (!token || !SESSION_TOKEN.test(token)) throw new Unauthenticated()
  return { kind: 'session', hash: hashToken(token) }
}
