import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

/** A preHandler that throws if the caller is not allowed, and keeps its result for the handler. */
export interface Guard<Result> {
  (request: FastifyRequest): Promise<void>
  /** Returns the guard's result. Throws if the guard has not run for this request. */
  of(request: FastifyRequest): Result
}

const guards = new WeakSet<object>()

/** Creates a guard from a function that returns its result, or throws a problem. */
export function guard<Result>(check: (request: FastifyRequest) => Result | Promise<Result>): Guard<Result> {
  const results = new WeakMap<FastifyRequest, { value: Result }>()
  const run = async (request: FastifyRequest) => {
    results.set(request, { value: await check(request) })
  }
  const of = (request: FastifyRequest) => {
    const result = results.get(request)
    if (!result) throw new Error('the guard of this route has not run')
    return result.value
  }
  const created = Object.assign(run, { of })
  guards.add(created)
  return created
}

/** For the few public routes. */
export const open = guard(() => undefined)

/** Fails the start if a route has no guard. */
export const guardsRequired = fp(
  async (app) => {
    app.addHook('onRoute', ({ method, url, preHandler }) => {
      const handlers = [preHandler ?? []].flat()
      if (!handlers.some((handler) => guards.has(handler))) throw new Error(`${method} ${url} has no guard`)
    })
  },
  { name: 'guards-required', fastify: '5.x' }
)
