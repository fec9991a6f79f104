import { type Origin, record } from '../../audit/record.ts'
import type { SessionPrincipal } from '../../auth/principal.ts'
import { hashPassword, passwordFits } from '../../crypto/passwords.ts'
import { inTransaction } from '../../db/database.ts'
import { WrongPassword } from '../../http/problems.ts'
import type { Services } from '../../services.ts'
import { countAttempt } from './limiter.ts'
import { deleteSessionsExcept, findPasswordHash, setPassword } from './repository.ts'

/**
 * Sets the caller's password and ends their other sessions. A wrong current password counts as a failed
 * sign-in.
 */
export async function changePassword(
  { db }: Services,
  caller: SessionPrincipal,
  origin: Origin,
  { currentPassword, newPassword }: { currentPassword: string; newPassword: string }
): Promise<void> {
  const attempt = await countAttempt(db, caller.email, origin.ip ?? '')
  const { password_hash } = await findPasswordHash(db, caller.userId)
  if (!(await passwordFits(password_hash, currentPassword))) throw new WrongPassword()
  const passwordHash = await hashPassword(newPassword)
  await inTransaction(db, async (trx) => {
    // Must not overwrite a reset by an administrator in the meantime.
    const user = { id: caller.userId, oldHash: password_hash, newHash: passwordHash }
    if (!(await setPassword(trx, user))) throw new WrongPassword()
    await deleteSessionsExcept(trx, caller.userId, caller.sessionId)
    const target = { type: 'user', id: caller.userId, name: caller.name } as const
    await record(trx, origin, [{ action: 'user.password-changed', target }])
  })
  await attempt.succeeded()
}
