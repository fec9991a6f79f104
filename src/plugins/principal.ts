import type { FastifyRequest } from 'fastify'
import type { UserRole } from '../db/tables.ts'
import { Forbidden, InsufficientScope, Unauthenticated } from '../errors.ts'
import { guard } from './guards.ts'

/** What a personal token may be for. Without one of an operation's scopes it does nothing. */
export const PERSONAL_SCOPES = ['credentials:read', 'credentials:write', 'credentials:reveal'] as const
export type Scope = (typeof PERSONAL_SCOPES)[number]

/** What operations name in their schemas: any one of the list will do. */
export const READ: readonly Scope[] = ['credentials:read']
export const WRITE: readonly Scope[] = ['credentials:write']
export const REVEAL: readonly Scope[] = ['credentials:reveal']

interface User {
  readonly userId: string
  readonly email: string
  readonly name: string
  readonly role: UserRole
}

/** Somebody in person, by the session cookie. */
export interface SessionPrincipal extends User {
  readonly type: 'session'
  readonly sessionId: string
  readonly createdAt: Date
  readonly lastSeenAt: Date
  readonly expiresAt: Date
}

/** A program that acts as somebody, within the token's scopes. */
export interface PersonalTokenPrincipal extends User {
  readonly type: 'personal-token'
  readonly tokenId: string
  readonly scopes: readonly string[]
}

/** Who is calling. */
export type Principal = SessionPrincipal | PersonalTokenPrincipal

declare module 'fastify' {
  interface FastifyRequest {
    /** Throws Unauthenticated where `authenticate` has not let the request in. */
    readonly principal: Principal
    /** The same, or null where nobody was asked for or found; for logs. */
    caller: Principal | null
  }
  interface FastifySchema {
    /** Any one of these lets a token call the operation; without any, only sessions do. */
    scopes?: readonly Scope[]
  }
  interface FastifyContextConfig {
    /** Those of the schema. */
    scopes?: readonly Scope[]
  }
}

/** Throws InsufficientScope when a token calls what it has no scope for; what names no scope takes no token. */
export function requireScope(principal: Principal, scopes: readonly Scope[]): void {
  if (principal.type === 'session') return
  if (!scopes.some((scope) => principal.scopes.includes(scope))) throw new InsufficientScope()
}

/** Anybody who is known: in person, or by a token with the scope that the operation names. */
export const signedIn = guard((request) => request.principal)

/** Anybody in person. */
export const inPerson = guard(sessionOf)

/** Administrators of the service, in person. */
export const administrator = guard((request) => {
  const session = sessionOf(request)
  if (session.role !== 'admin') throw new Forbidden({ detail: 'Only an administrator may do this.' })
  return session
})

function sessionOf(request: FastifyRequest): SessionPrincipal {
  if (request.principal.type !== 'session') throw new InsufficientScope()
  return request.principal
}

/** For the `principal` decorator. */
export function principalOf(this: FastifyRequest): Principal {
  if (!this.caller) throw new Unauthenticated()
  return this.caller
}
