import type { FastifyRequest } from 'fastify'
import type { Guard } from '../http/guard.ts'
import type { CallerIds, Lookup } from './lookup.ts'
import { callerOf } from './principal.ts'

/** A lookup and its parameters, for one request. */
export interface Wanted {
  lookup: Lookup<object, unknown>
  values: object
}

/** Returns the lookup that a request needs, or undefined if it needs none. */
export type Preload = (request: FastifyRequest) => Wanted | undefined

/** A guard whose rows are loaded in one statement with the caller. */
export type PreloadingGuard<Row> = Guard<Row> & { preload: Preload }

declare module 'fastify' {
  interface FastifyRequest {
    /** The rows that were loaded together with the caller. */
    preloaded: { by: object; rows: unknown[] } | null
  }
  interface FastifyContextConfig {
    /** The `preload` of the route's guard. */
    preload?: Preload
  }
}

/**
 * Creates the `preload` of a guard, whose rows are loaded in the statement that authenticates the caller.
 * `rowsOf` returns these rows on its first call, and queries again on later ones; undefined if `valuesOf`
 * returns undefined. Throws Unauthenticated.
 */
export function preloaded<Values extends object, Row>(
  lookup: Lookup<Values, Row>,
  valuesOf: (request: FastifyRequest) => Values | undefined
): { preload: Preload; rowsOf(request: FastifyRequest): Promise<Row[] | undefined> } {
  return {
    preload(request) {
      const values = valuesOf(request)
      return values && { lookup: lookup as unknown as Wanted['lookup'], values }
    },
    async rowsOf(request) {
      const { preloaded } = request
      const caller = callerOf(request)
      if (preloaded?.by === lookup) {
        request.preloaded = null
        return preloaded.rows as Row[]
      }
      const values = valuesOf(request)
      const ids: CallerIds =
        caller.type === 'project-token'
          ? { userId: null, projectId: caller.projectId }
          : { userId: caller.userId, projectId: null }
      return values && lookup.find(request.server.services.db, ids, values)
    }
  }
}
