import type { TSchema } from '@sinclair/typebox'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifySchema {
    /** Of a PUT that keeps what is absent: the operation is there as PATCH too, with these differences. */
    mergePatch?: {
      operationId: string
      description: string
      /** A part of what the PUT takes, if that has more than a merge patch can say. */
      body?: TSchema
    }
  }
}

/** The types of body that a PATCH takes. */
const CONSUMES = ['application/json', 'application/merge-patch+json']

/**
 * Adds to each PUT with `mergePatch` a PATCH with the same guard and handler: a JSON merge patch (RFC 7396).
 */
export const mergePatch = fp(
  async (app) => {
    app.addHook('onRoute', function (route) {
      const { schema, method, routePath: url } = route
      if (method !== 'PUT' || !schema?.mergePatch) return
      const { mergePatch, ...shared } = schema
      const summary = `${shared.summary}, by a merge patch`
      const ofPatch = { ...shared, summary, ...mergePatch, consumes: CONSUMES }
      this.route({ ...route, method: 'PATCH', url, schema: ofPatch })
    })
  },
  { name: 'merge-patch', fastify: '5.x' }
)
