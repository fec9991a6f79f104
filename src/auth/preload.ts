import type { FastifyRequest } from 'fastify'
import type { Guard } from '../http/guard.ts'
import { Unauthenticated } from '../http/problems.ts'
import type { CallerIds, Lookup } from './lookup.ts'

/** A lookup and its parameters, for one request. */
export interface Wanted {
  lookup: Lookup<object, unknown>
  values: object
}

/** Returns the rows that a request needs besides its caller, or undefined if it names none. */
export type Preload = (request: FastifyRequest) => Wanted | undefined

/** A guard whose rows are found in one statement with the caller. */
export type PreloadingGuard<Row> = Guard<Row> & { preload: Preload }

declare module 'fastify' {
  interface FastifyRequest {
    /** The rows that were found together with the caller. */
    preloaded: { by: object; rows: unknown[] } | null
  }
  interface FastifyContextConfig {
    /** Of the route's guard. */
    preload?: Preload
  }
}

/**
 * Gives a guard its rows. A guard with this `preload` has them found in the statement that finds the caller;
 * `rowsOf` returns them, or looks again when it is called again. Returns undefined if `valuesOf` does. Throws
 * Unauthenticated.
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
      const { caller, preloaded } = request
      if (!caller) throw new Unauthenticated()
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
