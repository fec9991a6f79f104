import type { FastifyRequest } from 'fastify'
import type { UserRole } from '../db/tables.ts'
import { guard } from '../http/guard.ts'
import { Forbidden, InsufficientScope, Unauthenticated } from '../http/problems.ts'

/**
 * What a personal token may be for: it acts as its maker, and without one of an operation's scopes it does
 * nothing.
 */
export const PERSONAL_SCOPES = [
  'credentials:read',
  'credentials:write',
  'credentials:reveal',
  'audit:read'
] as const
/** What a project token may be for: a machine of one project, whoever made it. */
export const PROJECT_SCOPES = ['credentials:read', 'credentials:resolve', 'usages:write'] as const
export type Scope = (typeof PERSONAL_SCOPES | typeof PROJECT_SCOPES)[number]

/** What operations name in their schemas: any one of the list will do. */
export const READ: readonly Scope[] = ['credentials:read']
export const WRITE: readonly Scope[] = ['credentials:write']
export const REVEAL: readonly Scope[] = ['credentials:reveal']
export const RESOLVE: readonly Scope[] = ['credentials:resolve']
export const WRITE_USAGES: readonly Scope[] = ['credentials:write', 'usages:write']
export const READ_USAGES: readonly Scope[] = ['credentials:read', 'usages:write']
export const READ_AUDIT: readonly Scope[] = ['audit:read']

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

/** A machine of one project. It is nobody, and so has no credentials of its own. */
export interface ProjectTokenPrincipal {
  readonly type: 'project-token'
  readonly tokenId: string
  readonly projectId: string
  readonly name: string
  readonly scopes: readonly string[]
}

export type UserPrincipal = SessionPrincipal | PersonalTokenPrincipal

/** Who is calling. */
export type Principal = UserPrincipal | ProjectTokenPrincipal

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * The user who calls. Throws Unauthenticated where `authenticate` has not let the request in, and
     * InsufficientScope for a project token: an operation that takes one has to ask for it by `caller`.
     */
    readonly principal: UserPrincipal
    /** Whoever calls; null where nobody was asked for or found. */
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

/**
 * Throws InsufficientScope when a token calls what it has no scope for; what names no scope takes no token.
 */
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
export function principalOf(this: FastifyRequest): UserPrincipal {
  if (!this.caller) throw new Unauthenticated()
  if (this.caller.type === 'project-token') throw new InsufficientScope()
  return this.caller
}
