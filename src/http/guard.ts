import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Preload } from '../auth/preload.ts'

/** A preHandler that throws when the caller may not, and keeps what it found for the handler. */
export interface Guard<Found> {
  (request: FastifyRequest): Promise<void>
  /** What the check found. Throws when the check did not run: reading unchecked is a fault, not an answer. */
  of(request: FastifyRequest): Found
  /** The rows that it needs, to be found in one statement with the caller. */
  preload?: Preload
}

const guards = new WeakSet<object>()

/** Makes a guard of a function that gives what the caller may have, or throws a problem. */
export function guard<Found>(find: (request: FastifyRequest) => Found | Promise<Found>): Guard<Found> {
  const found = new WeakMap<FastifyRequest, { value: Found }>()
  const check = async (request: FastifyRequest) => {
    found.set(request, { value: await find(request) })
  }
  const of = (request: FastifyRequest) => {
    const entry = found.get(request)
    if (!entry) throw new Error('the guard of this route has not run')
    return entry.value
  }
  const made = Object.assign(check, { of })
  guards.add(made)
  return made
}

/** For the few routes that anybody may call. */
export const open = guard(() => undefined)

/**
 * Refuses, when the service is put together, every route that has no guard: forgetting one is found at the
 * start, not by a caller. `exempt` holds prefixes of routes that others register.
 */
export const guardsRequired = fp<{ exempt: readonly string[] }>(
  async (app, { exempt }) => {
    app.addHook('onRoute', ({ method, url, preHandler }) => {
      if (exempt.some((prefix) => url === prefix || url.startsWith(`${prefix}/`))) return
      const handlers = [preHandler ?? []].flat()
      if (!handlers.some((handler) => guards.has(handler))) throw new Error(`${method} ${url} has no guard`)
    })
  },
  { name: 'guards-required', fastify: '5.x' }
)
