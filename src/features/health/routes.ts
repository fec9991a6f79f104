import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { open } from '../../http/guard.ts'
import { Unavailable } from '../../http/problems.ts'
import { ping } from './repository.ts'
import * as schema from './schema.ts'

const ok = { status: 'ok' } as const

export const healthRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/livez', { schema: schema.getLiveness, preHandler: open, logLevel: 'warn' }, async () => ok)

  app.get('/readyz', { schema: schema.getReadiness, preHandler: open, logLevel: 'warn' }, async () => {
    if (app.stopping) throw new Unavailable({ detail: 'The service is stopping.', retryAfter: 5 })
    await ping(app.services.db)
    return ok
  })
}
