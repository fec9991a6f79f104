import type { Static } from '@sinclair/typebox'
import type { UserPrincipal } from '../../auth/principal.ts'
import { hashPassword } from '../../crypto/passwords.ts'
import { inTransaction } from '../../db/database.ts'
import { Forbidden, NotFound } from '../../http/problems.ts'
import type { Services } from '../../services.ts'
import { revokeTokensOf } from '../access-tokens/repository.ts'
import { keepAnAdministrator } from './keep-administrator.ts'
import { deleteSessions, type UserRow, updateUser } from './repository.ts'
import type { UserChanges } from './schema.ts'

/**
 * Changes a user whom the caller may see. Throws Forbidden for what only administrators may change, EmailTaken and
 * LastAdministrator.
 */
export async function changeUser(
  { db }: Services,
  caller: UserPrincipal,
  id: string,
  { name, email, role, disabled, password }: Static<typeof UserChanges>
): Promise<UserRow> {
  if (caller.role !== 'admin' && [email, role, disabled, password].some((value) => value !== undefined)) {
    throw new Forbidden({ detail: 'Users change their own name; the rest is for an administrator.' })
  }
  const passwordHash = password === undefined ? undefined : await hashPassword(password)
  return inTransaction(db, async (trx) => {
    if (role === 'user' || disabled) await keepAnAdministrator(trx, caller.userId, id)
    const user = await updateUser(trx, id, { name, email, role, disabled, passwordHash })
    if (!user) throw new NotFound()
    if (disabled || passwordHash !== undefined) await deleteSessions(trx, id)
    if (disabled) await revokeTokensOf(trx, id)
    return user
  })
}
