import type { FastifyRequest } from 'fastify'
import { guard } from '../http/guard.ts'
import { Forbidden, NotFound } from '../http/problems.ts'
import { isUuid } from '../http/schemas.ts'
import type { Lookup } from './lookup.ts'
import { type PreloadingGuard, preloaded } from './preload.ts'

/**
 * Guard for owned resources: loads the row with the id in the path. Throws NotFound if it is missing or
 * hidden from the caller. `more` returns the other parameters of the lookup.
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
    // `principal` throws for project tokens, which cannot see any of these.
    const row = request.principal && (await rowsOf(request))?.[0]
    if (!row) throw new NotFound()
    return row
  })
  return Object.assign(check, { preload })
}

/** Guard for the owner only. Throws Forbidden for other users who can see the row. */
export function own<Values extends { id: string }, Row extends { owner_id: string | null }>(
  lookup: Lookup<Values, Row>,
  more?: (request: FastifyRequest) => Omit<Values, 'id'>
): PreloadingGuard<Row> {
  const visible = seen(lookup, more)
  const check = guard(async (request) => {
    await visible(request)
    const row = visible.of(request)
    if (row.owner_id !== request.principal.userId)
      throw new Forbidden({ detail: 'Only the owner can do this.' })
    return row
  })
  return Object.assign(check, { preload: visible.preload })
}
