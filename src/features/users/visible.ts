import { guard } from '../../http/guard.ts'
import { NotFound } from '../../http/problems.ts'
import { isUuid } from '../../http/schemas.ts'
import { findUser } from './repository.ts'

/** The user in the path, for administrators and for themself: to everybody else one who is there is unknown too. */
export const visibleUser = guard(async (request) => {
  const { id } = request.params as { id: string }
  const { db } = request.server.services
  const user = isUuid(id) ? await findUser(db, request.principal.userId, id) : undefined
  if (!user) throw new NotFound()
  return user
})
