import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Guard } from '../http/guard.ts'
import { CrossSiteRequest } from '../http/problems.ts'
import { isCrossSite } from './cross-site.ts'
import type { Along } from './lookup.ts'
import { principalOf, requireScope } from './principal.ts'
import { cookieName, principalOfSession, type SessionProof, sessionProofOf } from './session-principal.ts'
import { principalOfToken, type TokenProof, tokenProofOf } from './token-principal.ts'

type Proof = { session: SessionProof; token?: never } | { session?: never; token: TokenProof }

declare module 'fastify' {
  interface FastifyRequest {
    /** What has the form of a proof, until somebody has looked whether it is one. */
    unproven: Proof | null
  }
  interface FastifyInstance {
    /** An onRequest hook for everything below `signedIn`. */
    authenticate: (request: FastifyRequest) => Promise<void>
  }
}

/**
 * Finds who calls, before anything of the request is read; refuses with 401 whoever is nobody. Where the route's guard looks
 * up what the body names, the caller is found when that is valid, or is not, and only who cannot be anybody is refused before.
 */
export const authentication = fp(
  async (app) => {
    const { services } = app
    const cookie = cookieName(services.config.publicOrigin)

    app.decorateRequest('caller', null)
    app.decorateRequest('principal', { getter: principalOf })
    app.decorateRequest('unproven', null)
    app.decorateRequest('foundAlong', null)

    function proofOf({ headers, cookies }: FastifyRequest): Proof {
      // A caller who sends Authorization means it: the cookie does not stand in for one that is wrong.
      return headers.authorization === undefined
        ? { session: sessionProofOf(services, cookies[cookie]) }
        : { token: tokenProofOf(headers.authorization) }
    }

    async function identify(request: FastifyRequest, { session, token }: Proof, along?: Along) {
      request.unproven = null
      request.caller = session
        ? await principalOfSession(services, session, along)
        : await principalOfToken(services, token, along)
      // A browser sends the cookie for whoever asks; a token is sent by whoever has it.
      if (session && isCrossSite(request, services.config)) throw new CrossSiteRequest()
      requireScope(request.caller, request.routeOptions.config.scopes ?? [])
    }

    app.addHook('onRoute', (route) => {
      const handlers = [route.preHandler ?? []].flat()
      const guard = handlers.find((handler) => (handler as Guard<unknown>).along) as
        | Guard<unknown>
        | undefined
      if (!guard) return
      const { along, alongBody = false } = guard
      route.config = { ...route.config, along: along!, alongBody }
      if (!alongBody) return
      route.preHandler = [
        (request: FastifyRequest) => identify(request, request.unproven!, along!(request)),
        ...handlers
      ]
      // Whatever is wrong with a request, nobody is told who is not known.
      route.errorHandler = async (error, request) => {
        if (request.unproven) await identify(request, request.unproven)
        throw error
      }
    })

    app.decorate('authenticate', async (request: FastifyRequest) => {
      const proof = proofOf(request)
      const { along, alongBody } = request.routeOptions.config
      if (alongBody) request.unproven = proof
      else await identify(request, proof, along?.(request))
    })
  },
  { name: 'authentication', fastify: '5.x', dependencies: ['services', '@fastify/cookie'] }
)
