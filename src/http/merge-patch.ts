import type { TSchema } from '@sinclair/typebox'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifySchema {
    /** For a PUT that keeps absent properties: adds the same operation as PATCH, with these differences. */
    mergePatch?: {
      operationId: string
      description: string
      /** The body of the PATCH, if a merge patch cannot express everything that the PUT accepts. */
      body?: TSchema
    }
  }
}

/** The media types that a PATCH accepts. */
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
      const summary = `${shared.summary} with a merge patch`
      const ofPatch = { ...shared, summary, ...mergePatch, consumes: CONSUMES }
      this.route({ ...route, method: 'PATCH', url, schema: ofPatch })
    })
  },
  { name: 'merge-patch', fastify: '5.x' }
)
