import type { FastifyRequest } from 'fastify'
import type { UserRole } from '../db/tables.ts'
import { guard } from '../http/guard.ts'
import { Forbidden, InsufficientScope, Unauthenticated } from '../http/problems.ts'

/** Scopes of personal tokens, which act as the user who created them. */
export const PERSONAL_SCOPES = [
  'credentials:read',
  'credentials:write',
  'credentials:reveal',
  'audit:read'
] as const
/** Scopes of project tokens, which act for a project and not for a user. */
export const PROJECT_SCOPES = ['credentials:read', 'credentials:resolve', 'usages:write'] as const
export type Scope = (typeof PERSONAL_SCOPES | typeof PROJECT_SCOPES)[number]

/** Scopes of operations, for `scopes` in their schemas. */
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

/** A user with a session cookie. */
export interface SessionPrincipal extends User {
  readonly type: 'session'
  readonly sessionId: string
  readonly createdAt: Date
  readonly lastSeenAt: Date
  readonly expiresAt: Date
}

/** A program that acts as a user, limited to the token's scopes. */
export interface PersonalTokenPrincipal extends User {
  readonly type: 'personal-token'
  readonly tokenId: string
  readonly scopes: readonly string[]
}

/** A program that acts for a project. It is not a user, so it owns no credentials. */
export interface ProjectTokenPrincipal {
  readonly type: 'project-token'
  readonly tokenId: string
  readonly projectId: string
  readonly name: string
  readonly scopes: readonly string[]
}

export type UserPrincipal = SessionPrincipal | PersonalTokenPrincipal

export type Principal = UserPrincipal | ProjectTokenPrincipal

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * The calling user. Throws Unauthenticated if the request is not authenticated, and InsufficientScope for
     * a project token: operations that accept project tokens use `caller`.
     */
    readonly principal: UserPrincipal
    /** Null if the request is not authenticated. */
    caller: Principal | null
  }
  interface FastifySchema {
    /** A token needs one of these scopes to call the operation. Without scopes, only sessions may call it. */
    scopes?: readonly Scope[]
  }
  interface FastifyContextConfig {
    /** Copied from the schema. */
    scopes?: readonly Scope[]
  }
}

/** Returns the caller. Throws Unauthenticated if the request is not authenticated. */
export function callerOf({ caller }: FastifyRequest): Principal {
  if (!caller) throw new Unauthenticated()
  return caller
}

/** The session or access token of a caller. */
export function tokenOf(caller: Principal): { kind: 'session' | 'access-token'; id: string } {
  return caller.type === 'session'
    ? { kind: 'session', id: caller.sessionId }
    : { kind: 'access-token', id: caller.tokenId }
}

const WITHOUT_TOKENS = 'A token cannot do this: sign in as a user.'

/** Throws InsufficientScope for a token that has none of the scopes. Sessions have all scopes. */
export function requireScope(principal: Principal, scopes: readonly Scope[]): void {
  if (principal.type === 'session') return
  if (scopes.some((scope) => principal.scopes.includes(scope))) return
  const detail =
    scopes.length === 0 ? WITHOUT_TOKENS : `This needs a token with the scope ${scopes.join(' or ')}.`
  throw new InsufficientScope({ detail })
}

/** Guard for users, with a session or a personal token. */
export const signedIn = guard((request) => request.principal)

/** Guard for users with a session. */
export const sessionOnly = guard(sessionOf)

/** True for administrators with a session. Their tokens have only the permissions of any user's token. */
export function isAdministrator(caller: Principal): boolean {
  return caller.type === 'session' && caller.role === 'admin'
}

/** Guard for administrators with a session. */
export const administrator = guard((request) => {
  const session = sessionOf(request)
  if (!isAdministrator(session)) throw new Forbidden({ detail: 'Only an administrator can do this.' })
  return session
})

function sessionOf(request: FastifyRequest): SessionPrincipal {
  if (request.principal.type !== 'session') throw new InsufficientScope({ detail: WITHOUT_TOKENS })
  return request.principal
}

/** The getter of `request.principal`. */
export function principalOf(this: FastifyRequest): UserPrincipal {
  const caller = callerOf(this)
  if (caller.type === 'project-token') {
    throw new InsufficientScope({ detail: 'A project token cannot do this: sign in as a user.' })
  }
  return caller
}
