import type { FastifyRequest } from 'fastify'
import { audited } from '../../audit/record.ts'
import type { SessionPrincipal } from '../../auth/principal.ts'
import { hashPassword, passwordFits } from '../../crypto/passwords.ts'
import { addressOf } from '../../http/address.ts'
import { WrongPassword } from '../../http/problems.ts'
import { countAttempt } from './limiter.ts'
import { deleteSessionsExcept, findPasswordHash, setPassword } from './repository.ts'

/**
 * Sets the caller's password and ends their other sessions. A wrong current password counts as a failed
 * sign-in.
 */
export async function changePassword(
  request: FastifyRequest,
  caller: SessionPrincipal,
  { currentPassword, newPassword }: { currentPassword: string; newPassword: string }
): Promise<void> {
  const { db, passwordChanged } = request.server.services
  const attempt = await countAttempt(db, caller.email, addressOf(request))
  const { password_hash } = await findPasswordHash(db, caller.userId)
  if (!(await passwordFits(password_hash, currentPassword))) throw new WrongPassword()
  const passwordHash = await hashPassword(newPassword)
  await audited(
    request,
    async ({ db }) => {
      // Must not overwrite a reset by an administrator in the meantime.
      const user = { id: caller.userId, oldHash: password_hash, newHash: passwordHash }
      if (!(await setPassword(db, user))) throw new WrongPassword()
      await deleteSessionsExcept(db, caller.userId, caller.sessionId)
      await attempt.succeeded(db)
      const target = { type: 'user', id: caller.userId, name: caller.name } as const
      return { result: undefined, events: [{ action: 'user.password-changed', target }] }
    },
    { userLock: 'update' }
  )
  await passwordChanged?.()
}
