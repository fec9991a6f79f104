import { type Guard, guard } from '../http/guard.ts'
import { Forbidden, NotFound } from '../http/problems.ts'
import { isUuid } from '../http/schemas.ts'
import { type Lookup, lookedUp } from './lookup.ts'

/**
 * A guard of things that have an owner: gives the row of the id in the path to a caller who may see it, with the caller
 * in its query, and is NotFound otherwise: a thing that is hidden and a thing that is not there are one 404.
 */
export function seen<Row>(lookup: Lookup<{ id: string }, Row>): Guard<Row> {
  const looked = lookedUp(lookup, ({ params }) => {
    const { id } = params as { id: string }
    return isUuid(id) ? { id } : undefined
  })
  const check = guard(async (request) => {
    // Which throws for a machine, that sees nothing here.
    const row = request.principal && (await looked.of(request))?.[0]
    if (!row) throw new NotFound()
    return row
  })
  return Object.assign(check, { along: looked.along })
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
