import rateLimit from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { addressOf, networkOf } from '../http/address.ts'
import { TooManyRequests } from '../http/problems.ts'
import { isRouted } from '../http/unrouted.ts'
import type { Principal } from './principal.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Counts an unauthenticated request, by address. Throws TooManyRequests. */
    limitAddress(request: FastifyRequest): Promise<void>
    /** Counts a request of the caller or, without `increment`, only checks. Throws TooManyRequests. */
    limitCaller(request: FastifyRequest, caller: Principal, options?: { increment: boolean }): Promise<void>
  }
  interface FastifyRequest {
    /** The limit that the request was counted against, for the headers of the response. */
    rateLimit: { max: number; remaining: number; ttlInSeconds: number } | null
    /** The key of the limit: the caller's. */
    rateLimitKey: string
  }
  interface FastifyContextConfig {
    /** Who counts requests of the route: `caller` once it is authenticated, `nobody` for health checks. */
    limitedBy?: 'caller' | 'nobody'
  }
}

const WINDOW_MS = 60_000
/** The maximum number of callers, and of addresses, that are counted at a time. */
const MAX_KEYS = 10_000
const COUNT = { increment: true }

/**
 * Limits the requests per minute of each caller, across all their sessions and tokens, and the
 * unauthenticated requests per minute of each address. Each replica counts separately.
 */
export const rateLimits = fp(
  async (app) => {
    const { callerRequestsPerMinute, addressRequestsPerMinute } = app.services.config
    await app.register(rateLimit, { global: false })
    const options = { timeWindow: WINDOW_MS, cache: MAX_KEYS }
    const limiters = {
      caller: app.createRateLimit({
        ...options,
        max: callerRequestsPerMinute,
        keyGenerator: (request) => request.rateLimitKey
      }),
      address: app.createRateLimit({
        ...options,
        max: addressRequestsPerMinute,
        keyGenerator: (request) => networkOf(addressOf(request))
      })
    }

    async function limit(by: keyof typeof limiters, request: FastifyRequest, call = COUNT) {
      const result = await limiters[by](request, call)
      if (result.isAllowed) return
      request.rateLimit = result
      if (!result.isExceeded && (call.increment || result.remaining > 0)) return
      app.metrics.limitedRequests.inc({ by })
      throw new TooManyRequests({ retryAfter: Math.max(1, result.ttlInSeconds) })
    }
    const unlimited = Promise.resolve()

    app.decorateRequest('rateLimit', null)
    app.decorateRequest('rateLimitKey', '')
    app.decorate('limitAddress', (request) =>
      addressRequestsPerMinute === 0 ? unlimited : limit('address', request)
    )
    app.decorate('limitCaller', (request, caller, call) => {
      if (callerRequestsPerMinute === 0) return unlimited
      request.rateLimitKey = caller.type === 'project-token' ? caller.tokenId : caller.userId
      return limit('caller', request, call)
    })
    app.addHook('onRequest', (request, _reply, done) => {
      if (request.routeOptions.config.limitedBy !== undefined && isRouted(request)) return done()
      app.limitAddress(request).then(() => done(), done)
    })
    app.addHook('onSend', (request, reply, payload, done) => {
      const { rateLimit } = request
      if (rateLimit) {
        // The fields of draft-ietf-httpapi-ratelimit-headers, version 7.
        reply.header('ratelimit-limit', rateLimit.max)
        reply.header('ratelimit-remaining', rateLimit.remaining)
        reply.header('ratelimit-reset', rateLimit.ttlInSeconds)
      }
      done(null, payload)
    })
  },
  { name: 'rate-limits', fastify: '5.x', dependencies: ['services', 'metrics'] }
)
