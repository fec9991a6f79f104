import rateLimit, { normalizeIP } from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { addressOf } from '../http/address.ts'
import { TooManyRequests } from '../http/problems.ts'
import type { Principal } from './principal.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Counts a request of somebody who is not authenticated, by address. Throws TooManyRequests. */
    limitAddress(request: FastifyRequest): Promise<void>
    /** Counts a request of the caller or, without `increment`, only checks. Throws TooManyRequests. */
    limitCaller(request: FastifyRequest, caller: Principal, options?: { increment: boolean }): Promise<void>
  }
  interface FastifyRequest {
    /** The limit that the request was counted against, for the answer's headers. */
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
/** The most callers, and the most addresses, that are counted at a time. */
const MAX_KEYS = 10_000
/** Who has an IPv6 address has all of its network, of 64 bits. */
const IPV6_PREFIX = 64

/**
 * Limits the requests of a minute: of each caller, whatever sessions and tokens they use, and of each address
 * from which requests come that are not authenticated. Each replica counts for itself.
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
        keyGenerator: (request) => normalizeIP(addressOf(request), IPV6_PREFIX)
      })
    }

    async function limit(by: keyof typeof limiters, request: FastifyRequest, increment: boolean) {
      const result = await limiters[by](request, { increment })
      if (result.isAllowed) return
      const { max, remaining, ttlInSeconds } = result
      request.rateLimit = { max, remaining, ttlInSeconds }
      if (!result.isExceeded && (increment || remaining > 0)) return
      app.metrics.limitedRequests.inc({ by })
      throw new TooManyRequests({ retryAfter: Math.max(1, ttlInSeconds) })
    }

    app.decorateRequest('rateLimit', null)
    app.decorateRequest('rateLimitKey', '')
    app.decorate('limitAddress', async (request) => {
      if (addressRequestsPerMinute > 0) await limit('address', request, true)
    })
    app.decorate('limitCaller', async (request, caller, { increment } = { increment: true }) => {
      if (callerRequestsPerMinute === 0) return
      request.rateLimitKey = caller.type === 'project-token' ? caller.tokenId : caller.userId
      await limit('caller', request, increment)
    })
    app.addHook('onRequest', (request, _reply, done) => {
      if (request.routeOptions.config.limitedBy !== undefined) return done()
      app.limitAddress(request).then(() => done(), done)
    })
    app.addHook('onSend', (request, reply, payload, done) => {
      if (request.rateLimit) {
        const { max, remaining, ttlInSeconds } = request.rateLimit
        // The fields of draft-ietf-httpapi-ratelimit-headers, version 7.
        reply.headers({
          'ratelimit-limit': max,
          'ratelimit-remaining': remaining,
          'ratelimit-reset': ttlInSeconds
        })
      }
      done(null, payload)
    })
  },
  { name: 'rate-limits', fastify: '5.x', dependencies: ['services', 'metrics'] }
)
