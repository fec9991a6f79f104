import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import fp from 'fastify-plugin'

/** What an answer has to have that is given before any hook has run. */
export const leastHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none';frame-ancestors 'none'",
  'x-content-type-options': 'nosniff'
} as const

/** What browsers and caches are told: nothing may be framed, sniffed or kept, and other origins only if listed. */
export const headers = fp(
  async (app) => {
    const { corsOrigins, publicOrigin } = app.services.config
    await app.register(helmet, {
      // Swagger UI sets a policy of its own; everything else is data.
      contentSecurityPolicy: {
        useDefaults: false,
        directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] }
      },
      frameguard: { action: 'deny' },
      strictTransportSecurity: publicOrigin?.startsWith('https:') ? { maxAge: 31_536_000 } : false
    })
    if (corsOrigins.length > 0) {
      await app.register(cors, {
        origin: [...corsOrigins],
        credentials: true,
        methods: ['GET', 'POST', 'PUT', 'DELETE'],
        exposedHeaders: ['etag', 'location', 'retry-after', 'x-request-id', 'idempotency-replayed'],
        maxAge: 600
      })
    }
    app.addHook('onRequest', async (request, reply) => {
      if (request.url.startsWith('/api/')) reply.header('cache-control', 'no-store')
    })
  },
  { name: 'headers', fastify: '5.x', dependencies: ['services'] }
)
