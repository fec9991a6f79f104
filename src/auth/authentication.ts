import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { CrossSiteRequest, Unauthenticated } from '../http/problems.ts'
import type { Services } from '../services.ts'
import * as repository from './caller-repository.ts'
import { isCrossSite } from './cross-site.ts'
import type { PreloadingGuard, Wanted } from './preload.ts'
import { cookieName, type PresentedToken, presentedToken } from './presented-token.ts'
import { type Principal, principalOf, requireScope } from './principal.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Finds who calls, with the rows that the route's guard needs if the request is `valid`. Throws
     * Unauthenticated for unknown callers, CrossSiteRequest for a request of another site, and
     * InsufficientScope for a token without a scope of the operation. Does nothing on open routes.
     */
    authenticate(request: FastifyRequest, valid: boolean): Promise<void>
  }
  interface FastifyRequest {
    /** Set on routes for callers only. */
    token: PresentedToken | null
  }
}

/** The largest body that is read before the caller is known, in bytes. */
const MAX_ANONYMOUS_BODY = 16 * 1024

/** Session and token authentication, for the routes in scopes that register `callersOnly`. */
export const authentication = fp(
  async (app) => {
    app.decorateRequest('caller', null)
    app.decorateRequest('principal', { getter: principalOf })
    app.decorateRequest('token', null)
    app.decorateRequest('preloaded', null)
    app.decorate('authenticate', authenticate)
  },
  { name: 'authentication', fastify: '5.x', dependencies: ['services', '@fastify/cookie'] }
)

/**
 * Refuses unknown callers on the routes of its scope. The caller is looked up when the request has arrived
 * whole, so that what ends an access while the body is on its way is seen. Until then a body is read up to a
 * small size only, or for a caller whose token has been looked up once before.
 */
export const callersOnly = fp(
  async (app) => {
    app.addHook('onRoute', (route) => {
      const guard = [route.preHandler ?? []].flat().find((handler) => 'preload' in handler)
      const preload = (guard as PreloadingGuard<unknown> | undefined)?.preload
      if (preload) route.config = { ...route.config, preload }
    })
    app.addHook('onRequest', async (request) => {
      request.token = presentedToken(request, cookieName(app.services.config.publicOrigin))
      if (mayBeLarge(request)) await identify(app.services, request.token, undefined)
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
  const { caller, rows } = await identify(services, token, wanted)
  request.caller = caller
  if (wanted) request.preloaded = { by: wanted.lookup, rows }
  // A browser sends the cookie whichever site asks; a token is sent only by who has it.
  if (token.kind === 'session' && isCrossSite(request, services.config)) throw new CrossSiteRequest()
  requireScope(caller, scopes)
}

/** Looks up the token's caller, and the wanted rows with it. Throws Unauthenticated. */
async function identify({ db, config }: Services, token: PresentedToken, wanted: Wanted | undefined) {
  const params = {
    tokenKind: token.kind,
    tokenHash: token.hash,
    sessionIdleMinutes: config.sessionIdleMinutes
  }
  const found = wanted
    ? await wanted.lookup.findWithCaller(db, params, wanted.values)
    : { caller: (await repository.findCaller(db, params))[0], rows: [] }
  const row = found?.caller
  if (!row) throw new Unauthenticated()
  if (!row.caller_live) {
    await repository.deleteEndedSession(db, row.caller_token_id)
    throw new Unauthenticated()
  }
  if (row.caller_stale) {
    if (token.kind === 'session')
      await repository.touchSession(db, row.caller_token_id, config.sessionIdleMinutes)
    else await repository.touchAccessToken(db, row.caller_token_id)
  }
  return { caller: principalOfRow(row), rows: found.rows }
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
