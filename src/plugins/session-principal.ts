import { type Expression, sql } from 'kysely'
import { hashToken } from '../crypto/tokens.ts'
import { type Params, prepared } from '../db/statement.ts'
import { Unauthenticated } from '../errors.ts'
import type { SessionPrincipal } from './principal.ts'
import type { Services } from './services.ts'

const TOKEN = /^[A-Za-z0-9_-]{43}$/

/** The session cookie's name: with https the prefix makes browsers refuse weaker settings (RFC 6265bis). */
export function cookieName(publicOrigin: string | undefined): string {
  return publicOrigin?.startsWith('https:') ? '__Host-latchkey_session' : 'latchkey_session'
}

const findSession = prepared((db, p: Params<{ tokenHash: Buffer; idleMinutes: number }>) =>
  db
    .selectFrom('sessions as s')
    .innerJoin('users as u', 'u.id', 's.user_id')
    .where('s.token_hash', '=', p.tokenHash)
    .select([
      's.id',
      's.user_id',
      's.created_at',
      's.last_seen_at',
      's.expires_at',
      'u.email',
      'u.name',
      'u.role'
    ])
    .select([
      sql<boolean>`s.expires_at > now() and s.last_seen_at > now() - make_interval(mins => ${p.idleMinutes}::int)
        and u.disabled_at is null`.as('live'),
      sql<boolean>`s.last_seen_at < ${freshSince(p.idleMinutes)}`.as('stale')
    ])
)

/** Use is written once a minute, and often enough for a shorter idle time to slide. */
function freshSince(idleMinutes: Expression<number> | number) {
  return sql<Date>`now() - least(interval '1 minute', make_interval(mins => ${idleMinutes}::int) / 4)`
}

/** Who has this session; throws Unauthenticated for none that lives. */
export async function principalOfSession(
  { db, config }: Services,
  token: string | undefined
): Promise<SessionPrincipal> {
  if (!token || !TOKEN.test(token)) throw new Unauthenticated()
  const [row] = await findSession(db, {
    tokenHash: hashToken(token),
    idleMinutes: config.sessionIdleMinutes
  })
  if (!row) throw new Unauthenticated()
  if (!row.live) {
    // Gone for good, so that a clock that jumps back revives nothing.
    await db.deleteFrom('sessions').where('id', '=', row.id).execute()
    throw new Unauthenticated()
  }
  if (row.stale) {
    await db
      .updateTable('sessions')
      .set({ last_seen_at: sql<Date>`now()` })
      .where('id', '=', row.id)
      // Of requests that come at once, one.
      .where('last_seen_at', '<', freshSince(config.sessionIdleMinutes))
      .execute()
  }
  return {
    type: 'session',
    sessionId: row.id,
    userId: row.user_id,
    email: row.email,
    name: row.name,
    role: row.role,
    createdAt: row.created_at,
    lastSeenAt: row.last_seen_at,
    expiresAt: row.expires_at
  }
}
