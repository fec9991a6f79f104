import { guard } from '../../http/guard.ts'
import { Forbidden, NotFound } from '../../http/problems.ts'
import { isUuid } from '../../http/schemas.ts'
import { findTypeHead } from './repository.ts'

/** A type's owner, and administrators of the service; of a built-in type nobody. */
export const changeable = guard(async (request) => {
  const { id } = request.params as { id: string }
  const type = isUuid(id) ? await findTypeHead(request.server.services.db, id) : undefined
  if (!type) throw new NotFound()
  if (type.owner_id === null) throw new Forbidden({ detail: 'A built-in type never changes.' })
  const { userId, role } = request.principal
  if (type.owner_id !== userId && role !== 'admin')
    throw new Forbidden({ detail: 'Only its owner or an administrator may do this.' })
  return type
})
