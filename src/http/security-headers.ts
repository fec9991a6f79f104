import cors from '@fastify/cors'
import fp from 'fastify-plugin'

/** For responses sent before any hook has run. */
export const minimalHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none';frame-ancestors 'none'",
  'x-content-type-options': 'nosniff'
} as const

/**
 * Helmet's defaults, but with no caching, no framing and a content policy for data. Swagger UI sets a policy
 * of its own, and `FixedContent` may be cached. Whether a response may be cached does not depend on its URL,
 * because the router accepts several forms of it, such as `/%61pi/v1/session`.
 */
const COMMON_HEADERS = {
  'cache-control': minimalHeaders['cache-control'],
  'content-security-policy': minimalHeaders['content-security-policy'],
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'DENY',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0'
}
const HTTPS_ONLY = { 'strict-transport-security': 'max-age=31536000; includeSubDomains' }

/**
 * Forbids framing, sniffing and caching of responses, and allows other origins only if they are configured.
 */
export const securityHeaders = fp(
  async (app) => {
    const { corsOrigins, publicOrigin } = app.services.config
    if (corsOrigins.length > 0) {
      await app.register(cors, {
        origin: [...corsOrigins],
        credentials: true,
        methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
        exposedHeaders: [
          ...['etag', 'link', 'location', 'allow', 'retry-after', 'x-request-id', 'idempotency-replayed'],
          ...['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset']
        ],
        maxAge: 600,
        strictPreflight: false
      })
    }
    const headers = { ...COMMON_HEADERS, ...(publicOrigin?.startsWith('https:') && HTTPS_ONLY) }
    app.addHook('onRequest', (_request, reply, done) => {
      reply.headers(headers)
      done()
    })
  },
  { name: 'security-headers', fastify: '5.x', dependencies: ['services'] }
)
