import type { FastifyRequest } from 'fastify'
import { parseAccessToken } from '../crypto/access-tokens.ts'
import { hashToken, parseSessionToken } from '../crypto/tokens.ts'
import { BadRequest, Unauthenticated } from '../http/problems.ts'

/** The token of a request, before authentication: a session cookie, or an access token in `Authorization`. */
export interface PresentedToken {
  readonly kind: 'session' | 'access-token'
  readonly hash: Buffer
  /** The cell that the token names, for routers. It does not affect authentication: `hash` covers it too. */
  readonly cell: string | undefined
}

/** The session cookie's name. Over https its prefix makes browsers refuse weaker settings (RFC 6265bis). */
export function cookieName(publicOrigin: string | undefined): string {
  return publicOrigin?.startsWith('https:') ? '__Host-latchkey_session' : 'latchkey_session'
}

/**
 * Reads the token (RFC 6750 section 2.1). Throws Unauthenticated if there is none, or if it is malformed, and
 * BadRequest if there are two session cookies.
 */
export function presentedToken(request: FastifyRequest, cookie: string): PresentedToken {
  const { headers } = request
  // The cookie is not used in place of an invalid Authorization header.
  if (headers.authorization !== undefined) {
    const token = /^Bearer +(\S+)$/i.exec(headers.authorization)?.[1]
    const parsed = token && parseAccessToken(token)
    if (!parsed) throw new Unauthenticated()
    return { kind: 'access-token', hash: hashToken(token), cell: parsed.cell }
  }
  const token = sessionToken(request, cookie)
  if (!token) throw new Unauthenticated()
  return token
}

/**
 * Reads the session cookie. Returns undefined if there is none, or if it is malformed. Throws BadRequest if
 * there are two with different values, because another parser may use the second.
 */
export function sessionToken(
  { headers, cookies }: FastifyRequest,
  cookie: string
): PresentedToken | undefined {
  const token = cookies[cookie]
  if (token === undefined) return undefined
  const values = new Set<string>()
  for (const pair of headers.cookie!.split(';')) {
    const [name, ...value] = pair.split('=')
    if (name!.trim() === cookie) values.add(value.join('=').trim())
  }
  if (values.size > 1) throw new BadRequest({ detail: 'The request has two different session cookies.' })
  const parsed = parseSessionToken(token)
  return parsed && { kind: 'session', hash: hashToken(token), cell: parsed.cell }
}
