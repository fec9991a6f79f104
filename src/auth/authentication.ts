import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../config.ts'
import { isUnavailable } from '../db/errors.ts'
import { BadRequest, CrossSiteRequest, Unauthenticated } from '../http/problems.ts'
import * as repository from './caller-repository.ts'
import { inCallerTransaction } from './caller-transaction.ts'
import { isCrossSite } from './cross-site.ts'
import { LastUses } from './last-uses.ts'
import type { PreloadingGuard, Wanted } from './preload.ts'
import { cookieName, type PresentedToken, presentedToken, sessionToken } from './presented-token.ts'
import { type Principal, principalOf, requireScope } from './principal.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Sets `caller`. If the request is `valid`, also loads the rows that the route's guard needs. Throws
     * Unauthenticated for unknown callers, BadRequest for two callers, TooManyRequests, CrossSiteRequest for
     * a request of another site, and InsufficientScope for a token without a scope of the operation. Does
     * nothing on public routes.
     */
    authenticate(request: FastifyRequest, valid: boolean): Promise<void>
    lastUses: LastUses
  }
  interface FastifyRequest {
    /** The token that the request presents. Set on routes that require a caller. */
    token: PresentedToken | null
  }
}

/** The largest body, in bytes, that is read before authentication. */
export const MAX_ANONYMOUS_BODY = 16 * 1024
/** The largest body, in bytes, of a caller. */
const MAX_BODY = 1024 * 1024

/** Session and token authentication, for the routes in scopes that register `callersOnly`. */
export const authentication = fp(
  async (app) => {
    app.decorateRequest('caller', null)
    app.decorateRequest('principal', { getter: principalOf })
    app.decorateRequest('token', null)
    app.decorateRequest('preloaded', null)
    const { db, config } = app.services
    const lastUses = new LastUses(db, app.log, config.sessionIdleMinutes)
    app.decorate('lastUses', lastUses)
    app.addHook('onClose', () => lastUses.end())
    app.decorate('authenticate', authenticate)
    app.decorate('inCallerTransaction', inCallerTransaction)
  },
  { name: 'authentication', fastify: '5.x', dependencies: ['services', '@fastify/cookie', 'rate-limits'] }
)

/**
 * Requires authentication on the routes of its scope. Requests are authenticated after the body has arrived,
 * so that a session or token that is revoked in the meantime is refused. A large body is read only after an
 * earlier check of the token.
 */
export const callersOnly = fp(
  async (app) => {
    app.addHook('onRoute', (route) => {
      route.bodyLimit ??= MAX_BODY
      route.config = { ...route.config, limitedBy: 'caller' }
      const guard = [route.preHandler ?? []].flat().find((handler) => 'preload' in handler)
      const preload = (guard as PreloadingGuard<unknown> | undefined)?.preload
      if (preload) route.config = { ...route.config, preload }
    })
    app.addHook('onRequest', async (request) => {
      try {
        request.token = presentedToken(request, cookieName(app.services.config.publicOrigin))
      } catch (error) {
        await app.limitAddress(request)
        throw error
      }
      if (!mayBeLarge(request)) return
      const { caller } = await identify(request, request.token, undefined)
      await app.limitCaller(request, caller, { increment: false })
    })
    app.addHook('preHandler', (request) => app.authenticate(request, true))
  },
  { name: 'callers-only', fastify: '5.x', dependencies: ['authentication'] }
)

function mayBeLarge({ headers }: FastifyRequest): boolean {
  return (
    headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > MAX_ANONYMOUS_BODY
  )
}

async function authenticate(request: FastifyRequest, valid: boolean): Promise<void> {
  const { token } = request
  if (!token) return
  const { services } = request.server
  const { preload, scopes = [] } = request.routeOptions.config
  const wanted = valid ? preload?.(request) : undefined
  const { caller, rows } = await identify(request, token, wanted)
  request.caller = caller
  if (caller.type !== 'session' && request.headers.cookie) await requireOneCaller(request, caller)
  await request.server.limitCaller(request, caller)
  if (wanted) request.preloaded = { by: wanted.lookup, rows }
  // Browsers attach the cookie to requests of other sites too; no browser attaches a token.
  if (token.kind === 'session' && isCrossSite(request, services.config)) throw new CrossSiteRequest()
  requireScope(caller, scopes)
}

/**
 * Throws BadRequest if the request has an access token and the session cookie of another caller, because a
 * proxy may use one and the service the other. A user belongs to one cell, so tokens of two cells are two
 * callers.
 */
async function requireOneCaller(request: FastifyRequest, caller: Principal): Promise<void> {
  const { db, config } = request.server.services
  const cookie = cookieName(config.publicOrigin)
  const token = sessionToken(request, cookie)
  const [cell, otherCell] = [request.token?.cell, token?.cell]
  if (cell && otherCell && cell !== otherCell)
    throw new BadRequest({
      detail: 'The session cookie and the access token belong to different cells; send one of them.'
    })
  const [session] = token ? await repository.findCaller(db, tokenParams(token, config)) : []
  if (!session?.caller_live) return
  if (caller.type === 'project-token' || session.caller_user_id !== caller.userId)
    throw new BadRequest({
      detail: 'The session cookie and the access token belong to different callers; send one of them.'
    })
}

const tokenParams = ({ kind, hash }: PresentedToken, { sessionIdleMinutes }: Config) => ({
  tokenKind: kind,
  tokenHash: hash,
  sessionIdleMinutes
})

/**
 * Loads the token's caller, and the preloaded rows with it. Throws Unauthenticated, or TooManyRequests if the
 * address has sent too many requests that are not authenticated.
 */
async function identify(request: FastifyRequest, token: PresentedToken, wanted: Wanted | undefined) {
  const { db, config } = request.server.services
  const params = tokenParams(token, config)
  const found = wanted
    ? await wanted.lookup.findWithCaller(db, params, wanted.values)
    : { caller: (await repository.findCaller(db, params))[0], rows: [] }
  const row = found?.caller
  if (!found || !row?.caller_live) {
    if (row) await bestEffort(repository.deleteEndedSession(db, row.caller_token_id))
    await request.server.limitAddress(request)
    throw new Unauthenticated()
  }
  if (row.caller_stale) request.server.lastUses.add(token.kind, row.caller_token_id)
  return { caller: principalOfRow(row), rows: found.rows }
}

/** Ignores that the database does not accept writes, so that a request that only reads does not fail. */
async function bestEffort(write: Promise<void>): Promise<void> {
  await write.catch((error) => {
    if (!isUnavailable(error)) throw error
  })
}

function principalOfRow(row: repository.CallerRow): Principal {
  const token = { tokenId: row.caller_token_id, scopes: row.caller_scopes! }
  if (row.caller_project_id)
    return { type: 'project-token', ...token, projectId: row.caller_project_id, name: row.caller_token_name! }
  const user = {
    userId: row.caller_user_id!,
    email: row.caller_email!,
    name: row.caller_name!,
    role: row.caller_role!
  }
  if (row.caller_kind === 'access-token') return { type: 'personal-token', ...token, ...user }
  return {
    type: 'session',
    sessionId: row.caller_token_id,
    ...user,
    createdAt: row.caller_created_at!,
    lastSeenAt: row.caller_last_seen_at!,
    expiresAt: row.caller_expires_at!
  }
}
