import type { FastifyRequest } from 'fastify'
import type { Database } from '../db/database.ts'
import { Forbidden, NotFound } from '../errors.ts'
import { isUuid } from '../schemas.ts'
import { type Guard, guard } from './guards.ts'

/**
 * The two guards of things that have an owner. `find` gives the row of the id for a caller who may see it, with the
 * caller in its query, and undefined otherwise: a thing that is hidden and a thing that is not there are one 404.
 */
export function owned<Row extends { owner_id: string | null }>(
  find: (db: Database, userId: string, id: string) => Promise<Row | undefined>
): { seen: Guard<Row>; own: Guard<Row> } {
  async function look(request: FastifyRequest): Promise<Row> {
    const { id } = request.params as { id: string }
    const row = isUuid(id) ? await find(request.server.services.db, request.principal.userId, id) : undefined
    if (!row) throw new NotFound()
    return row
  }
  return {
    /** Whoever may see it. */
    seen: guard(look),
    /** Its owner; 403 for others who may see it. */
    own: guard(async (request) => {
      const row = await look(request)
      if (row.owner_id !== request.principal.userId)
        throw new Forbidden({ detail: 'Only its owner may do this.' })
      return row
    })
  }
}
