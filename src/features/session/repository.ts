import { sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import { orderBy } from '../../db/keyset.ts'
import { pagedList } from '../../db/paged-list.ts'
import type { Params } from '../../db/prepared.ts'
import { emailHash } from '../../emails.ts'

/** Finds a user by e-mail address, disabled or not, with the hash of the password. */
export function findAccount(db: Database, email: string) {
  return db
    .selectFrom('users')
    .select(['id', 'email', 'name', 'role', 'password_hash', 'disabled_at'])
    .where(sql<Buffer>`email_hash(email)`, '=', emailHash(email))
    .executeTakeFirst()
}

export function findPasswordHash(db: Database, userId: string) {
  return db.selectFrom('users').select('password_hash').where('id', '=', userId).executeTakeFirstOrThrow()
}

/** Returns false if the password changed in the meantime or the user was deleted. */
export async function setPassword(
  db: Database,
  user: { id: string; oldHash: string; newHash: string }
): Promise<boolean> {
  const result = await db
    .updateTable('users')
    .set({ password_hash: user.newHash, updated_at: sql<Date>`now()` })
    .where('id', '=', user.id)
    .where('password_hash', '=', user.oldHash)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/**
 * Returns undefined if the user was disabled or deleted in the meantime, or the password changed. Waits for a
 * concurrent change of the user, which would not see this session and so not end it.
 */
export function insertSession(
  db: Database,
  session: {
    id: string
    tokenHash: Buffer
    userId: string
    passwordHash: string
    ip: string
    userAgent: string | null
    maxHours: number
  }
) {
  return db
    .insertInto('sessions')
    .columns(['id', 'token_hash', 'user_id', 'ip', 'user_agent', 'expires_at'])
    .expression((eb) =>
      eb
        .selectFrom('users')
        .where('users.id', '=', session.userId)
        .where('users.password_hash', '=', session.passwordHash)
        .where('users.disabled_at', 'is', null)
        .forShare()
        .select([
          sql<string>`${session.id}::uuid`.as('id'),
          sql<Buffer>`${session.tokenHash}::bytea`.as('token_hash'),
          'users.id as user_id',
          sql<string>`${session.ip}::text`.as('ip'),
          sql<string | null>`${session.userAgent}::text`.as('user_agent'),
          sql<Date>`now() + make_interval(hours => ${session.maxHours}::int)`.as('expires_at')
        ])
    )
    .returning(['id', 'created_at', 'last_seen_at', 'expires_at'])
    .executeTakeFirst()
}

/** Returns one page of the user's sessions that can still be used, and the total. */
export const listLiveSessions = pagedList(
  (db, p: Params<{ userId: string; idleMinutes: number }>) =>
    db
      .selectFrom('sessions as s')
      .select(['s.id', 's.created_at', 's.last_seen_at', 's.expires_at', 's.ip', 's.user_agent'])
      .where('s.user_id', '=', p.userId)
      .where('s.expires_at', '>', sql<Date>`now()`)
      .where('s.last_seen_at', '>', sql<Date>`now() - make_interval(mins => ${p.idleMinutes}::int)`),
  (sort: `${'' | '-'}createdAt`) =>
    orderBy(
      sort,
      { createdAt: { value: sql`s.created_at`, type: 'timestamptz' } },
      { value: sql`s.id`, type: 'uuid' }
    )
)

/** Returns false if the user has no such session. */
export async function deleteSession(db: Database, userId: string, id: string): Promise<boolean> {
  const result = await db
    .deleteFrom('sessions')
    .where('user_id', '=', userId)
    .where('id', '=', id)
    .executeTakeFirst()
  return result.numDeletedRows > 0n
}

/** Ends all sessions of the user. */
export async function deleteSessionsOf(db: Database, userId: string): Promise<void> {
  await db.deleteFrom('sessions').where('user_id', '=', userId).execute()
}

/** Ends all sessions of the user except one. */
export async function deleteSessionsExcept(db: Database, userId: string, keepId: string): Promise<void> {
  await db.deleteFrom('sessions').where('user_id', '=', userId).where('id', '!=', keepId).execute()
}
