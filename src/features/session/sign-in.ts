import { type Origin, record, recordDenials } from '../../audit/record.ts'
import { checkPassword, hashPassword } from '../../crypto/passwords.ts'
import { hashToken, newSessionToken } from '../../crypto/tokens.ts'
import { inTransaction } from '../../db/database.ts'
import { InvalidCredentials, TooManyAttempts } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'
import type { Services } from '../../services.ts'
import { type Attempt, countAttempt } from './limiter.ts'
import { findAccount, insertSession, setPassword } from './repository.ts'

/**
 * Starts a session. Returns it with its user and its token, of which only the hash is stored. An unknown
 * e-mail address, a wrong password and a disabled user are the same InvalidCredentials after the same work
 * (ASVS 5.0, 6.3.8).
 */
export async function signIn(
  services: Services,
  { email, password }: { email: string; password: string },
  origin: Origin
) {
  const { db } = services
  const token = newSessionToken(services.config.cell)
  // Records the user only if one was found: the e-mail field may contain anything, such as a password.
  const recordFailure = async (userId: string | undefined, code: string) => {
    const target = userId === undefined ? undefined : ({ type: 'user', id: userId } as const)
    const denial = { action: 'session.failed', target, projectId: null, details: { code }, ifExists: false }
    await recordDenials(db, origin, [denial])
  }
  const attempt = await countAttempt(db, email, origin.ip ?? '').catch(async (error) => {
    if (error instanceof TooManyAttempts) await recordFailure((await findAccount(db, email))?.id, error.code)
    throw error
  })
  const first = await enter(services, attempt, { email, password }, origin, token)
  // Another sign-in of the same user may have renewed the hash.
  const isRetried = first.outdated && !first.session
  const { account, session } = isRetried
    ? await enter(services, attempt, { email, password }, origin, token)
    : first
  if (!account || !session) {
    const refusal = new InvalidCredentials()
    await recordFailure(account?.id, refusal.code)
    throw refusal
  }
  return { user: account, session, token }
}

/** Starts a session if the password fits the account, and renews its hash if that is outdated. */
async function enter(
  { db, config }: Services,
  attempt: Attempt,
  { email, password }: { email: string; password: string },
  origin: Origin,
  token: string
) {
  const account = await findAccount(db, email)
  const { fits, outdated } = await checkPassword(account?.password_hash, password)
  if (!account || !fits || account.disabled_at) return { account, session: undefined, outdated: false }
  const { id, password_hash: oldHash } = account
  const newHash = outdated ? await hashPassword(password) : oldHash
  const session = await inTransaction(db, async (trx) => {
    // If the password has changed meanwhile, neither the hash nor the session is written.
    if (outdated) await setPassword(trx, { id, oldHash, newHash })
    const session = await insertSession(trx, {
      id: uuidv7(),
      tokenHash: hashToken(token),
      userId: id,
      passwordHash: newHash,
      maxHours: config.sessionMaxHours,
      ip: origin.ip ?? '',
      userAgent: origin.user_agent
    })
    if (!session) return undefined
    const actor = { ...origin, actor_type: 'user', actor_id: id, actor_name: account.name }
    await record(trx, actor, [{ action: 'session.started', target: { type: 'session', id: session.id } }])
    await attempt.succeeded(trx)
    return session
  })
  return { account, session, outdated }
}
