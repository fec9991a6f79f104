import cors from '@fastify/cors'
import fp from 'fastify-plugin'
import helmet, { type HelmetOptions } from 'helmet'

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
    const always = headersOf({
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
    const ofData = { ...always, 'cache-control': 'no-store' }
    app.addHook('onRequest', (request, reply, done) => {
      reply.headers(request.url.startsWith('/api/') ? ofData : always)
      done()
    })
  },
  { name: 'headers', fastify: '5.x', dependencies: ['services'] }
)

/** The headers that helmet sets with these options: worked out once, since none of them depends on the request. */
function headersOf(options: HelmetOptions): Record<string, string> {
  const set: Record<string, string> = {}
  const response = {
    setHeader: (name: string, value: string) => {
      set[name.toLowerCase()] = value
    },
    removeHeader: () => {}
  }
  helmet(options)({} as never, response as never, (error?: unknown) => {
    if (error) throw error
  })
  return set
}
