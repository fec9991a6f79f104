import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { checkConnections } from '../../db/database.ts'
import { open } from '../../http/guard.ts'
import { Unavailable } from '../../http/problems.ts'
import * as schema from './schema.ts'

const ok = { status: 'ok' } as const

export const healthRoutes: FastifyPluginAsyncTypebox = async (app) => {
  // Load balancers, whose address callers may share, must not be refused.
  const options = { preHandler: open, logLevel: 'warn', config: { limitedBy: 'nobody' } } as const
  app.get('/livez', { ...options, schema: schema.getLiveness }, async () => ok)

  app.get('/readyz', { ...options, schema: schema.getReadiness }, async () => {
    if (app.stopping) throw new Unavailable({ detail: 'The service is stopping.', retryAfter: 5 })
    await checkConnections(app.services.db)
    return ok
  })
}
