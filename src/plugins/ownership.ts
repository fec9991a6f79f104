import type { FastifyRequest } from 'fastify'
import { Forbidden, NotFound } from '../errors.ts'
import { isUuid } from '../schemas.ts'
import { type Guard, guard } from './guards.ts'
import type { Along, Lookup } from './lookup.ts'

/**
 * A guard of things that have an owner: gives the row of the id in the path to a caller who may see it, with the caller
 * in its query, and is NotFound otherwise: a thing that is hidden and a thing that is not there are one 404.
 */
export function seen<Row>(lookup: Lookup<{ id: string }, Row>): Guard<Row> {
  const found = new WeakMap<FastifyRequest, Row | undefined>()
  const check = guard(async (request) => {
    const id = idOf(request)
    const { userId } = request.principal
    const row = found.has(request)
      ? found.get(request)
      : id && (await lookup.alone(request.server.services.db, userId, { id }))
    if (!row) throw new NotFound()
    return row
  })
  const along = (request: FastifyRequest): Along | undefined => {
    const id = idOf(request)
    const keep = (row: unknown) => found.set(request, row as Row | undefined)
    return id === undefined ? undefined : { lookup: lookup as Along['lookup'], values: { id }, keep }
  }
  return Object.assign(check, { along })
}

/** The same for its owner alone; Forbidden for others who may see it. */
export function own<Row extends { owner_id: string | null }>(
  lookup: Lookup<{ id: string }, Row>
): Guard<Row> {
  const visible = seen(lookup)
  const check = guard(async (request) => {
    await visible(request)
    const row = visible.of(request)
    if (row.owner_id !== request.principal.userId)
      throw new Forbidden({ detail: 'Only its owner may do this.' })
    return row
  })
  return Object.assign(check, { along: visible.along })
}

function idOf(request: FastifyRequest): string | undefined {
  const { id } = request.params as { id: string }
  return isUuid(id) ? id : undefined
}
