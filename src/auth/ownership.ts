import type { FastifyRequest } from 'fastify'
import { guard } from '../http/guard.ts'
import { Forbidden, NotFound } from '../http/problems.ts'
import { isUuid } from '../http/schemas.ts'
import type { Lookup } from './lookup.ts'
import { type PreloadingGuard, preloaded } from './preload.ts'

/**
 * A guard for owned resources: finds the row with the id in the path that the caller may see. Throws NotFound
 * if it is missing or hidden, which callers cannot tell apart. `more` gives the lookup's other parameters.
 */
export function seen<Values extends { id: string }, Row>(
  lookup: Lookup<Values, Row>,
  more?: (request: FastifyRequest) => Omit<Values, 'id'>
): PreloadingGuard<Row> {
  const { preload, rowsOf } = preloaded(lookup, (request) => {
    const { id } = request.params as { id: string }
    return isUuid(id) ? ({ id, ...more?.(request) } as Values) : undefined
  })
  const check = guard(async (request) => {
    // `principal` throws for machines, which see none of these.
    const row = request.principal && (await rowsOf(request))?.[0]
    if (!row) throw new NotFound()
    return row
  })
  return Object.assign(check, { preload })
}

/** A guard for the owner alone. Throws Forbidden for others who may see the row. */
export function own<Values extends { id: string }, Row extends { owner_id: string | null }>(
  lookup: Lookup<Values, Row>,
  more?: (request: FastifyRequest) => Omit<Values, 'id'>
): PreloadingGuard<Row> {
  const visible = seen(lookup, more)
  const check = guard(async (request) => {
    await visible(request)
    const row = visible.of(request)
    if (row.owner_id !== request.principal.userId)
      throw new Forbidden({ detail: 'Only its owner may do this.' })
    return row
  })
  return Object.assign(check, { preload: visible.preload })
}
