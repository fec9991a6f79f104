import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { CrossSiteRequest } from '../errors.ts'
import type { Guard } from './guards.ts'
import { principalOf, requireScope } from './principal.ts'
import { fromElsewhere } from './same-site.ts'
import { cookieName, principalOfSession } from './session-principal.ts'
import { principalOfToken } from './token-principal.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** An onRequest hook for everything below `signedIn`. */
    authenticate: (request: FastifyRequest) => Promise<void>
  }
}

/** Finds who calls, before anything of the request is read; refuses with 401 whoever is nobody. */
export const authentication = fp(
  async (app) => {
    const cookie = cookieName(app.services.config.publicOrigin)

    app.decorateRequest('caller', null)
    app.decorateRequest('principal', { getter: principalOf })

    app.addHook('onRoute', (route) => {
      const along = [route.preHandler ?? []].flat().find((guard) => (guard as Guard<unknown>).along)
      if (along) route.config = { ...route.config, along: (along as Guard<unknown>).along! }
    })

    app.decorate('authenticate', async (request: FastifyRequest) => {
      const { authorization } = request.headers
      const along = request.routeOptions.config.along?.(request)
      // A caller who sends Authorization means it: the cookie does not stand in for one that is wrong.
      request.caller =
        authorization === undefined
          ? await principalOfSession(app.services, request.cookies[cookie], along)
          : await principalOfToken(app.services, authorization, along)
      // A browser sends the cookie for whoever asks; a token is sent by whoever has it.
      if (request.caller.type === 'session' && fromElsewhere(request, app.services.config))
        throw new CrossSiteRequest()
      requireScope(request.caller, request.routeOptions.config.scopes ?? [])
    })
  },
  { name: 'authentication', fastify: '5.x', dependencies: ['services', '@fastify/cookie'] }
)
