import { passwordFits } from '../../crypto/passwords.ts'
import { hashToken, newToken } from '../../crypto/tokens.ts'
import { InvalidCredentials } from '../../errors.ts'
import { uuidv7 } from '../../ids.ts'
import type { Services } from '../../plugins/services.ts'
import { countAttempt } from './limiter.ts'
import { findAccount, insertSession } from './repository.ts'

/**
 * Starts a session: gives it, its user and its token, which is nowhere else. Unknown e-mail, wrong password and
 * disabled user are one InvalidCredentials after the same work (ASVS 5.0, 6.3.8).
 */
export async function signIn(
  { db, config }: Services,
  { email, password }: { email: string; password: string },
  from: { ip: string; userAgent: string | null }
) {
  const attempt = await countAttempt(db, email, from.ip)
  const account = await findAccount(db, email)
  const fits = await passwordFits(account?.password_hash, password)
  if (!account || !fits || account.disabled_at) throw new InvalidCredentials()
  const token = newToken()
  const session = await insertSession(db, {
    id: uuidv7(),
    tokenHash: hashToken(token),
    userId: account.id,
    passwordHash: account.password_hash,
    maxHours: config.sessionMaxHours,
    ...from
  })
  if (!session) throw new InvalidCredentials()
  await attempt.succeeded()
  return { user: account, session, token }
}
