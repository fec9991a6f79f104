import { type Expression, type Kysely, sql } from 'kysely'
import { hashToken } from '../crypto/tokens.ts'
import { type Params, prepared } from '../db/prepared.ts'
import type { Tables } from '../db/tables.ts'
import { Unauthenticated } from '../http/problems.ts'
import type { Services } from '../services.ts'
import type { Along } from './lookup.ts'
import type { SessionPrincipal } from './principal.ts'

const TOKEN = /^[A-Za-z0-9_-]{43}$/

/** The session cookie's name: with https the prefix makes browsers refuse weaker settings (RFC 6265bis). */
export function cookieName(publicOrigin: string | undefined): string {
  return publicOrigin?.startsWith('https:') ? '__Host-latchkey_session' : 'latchkey_session'
}

export interface SessionProof {
  tokenHash: Buffer
  idleMinutes: number
}

export const SESSION_PROOF = { tokenHash: 'bytea', idleMinutes: 'int' }

/** The session of this token, whether it lives or not, and whose it is. */
export function sessionOf(db: Kysely<Tables>, p: Params<SessionProof>) {
  return db
    .selectFrom('sessions as s')
    .innerJoin('users as u', 'u.id', 's.user_id')
    .where('s.token_hash', '=', p.tokenHash)
    .select([
      's.id as caller_session_id',
      's.user_id as caller_user_id',
      's.created_at as caller_created_at',
      's.last_seen_at as caller_last_seen_at',
      's.expires_at as caller_expires_at',
      'u.email as caller_email',
      'u.name as caller_name',
      'u.role as caller_role'
    ])
    .select([
      sql<boolean>`s.expires_at > now() and s.last_seen_at > now() - make_interval(mins => ${p.idleMinutes}::int)
        and u.disabled_at is null`.as('caller_live'),
      sql<boolean>`s.last_seen_at < ${freshSince(p.idleMinutes)}`.as('caller_stale')
    ])
}

const findSession = prepared(sessionOf, { together: SESSION_PROOF })

export type SessionRow = Awaited<ReturnType<typeof findSession>>[number]

/** Use is written once a minute, and often enough for a shorter idle time to slide. */
function freshSince(idleMinutes: Expression<number> | number) {
  return sql<Date>`now() - least(interval '1 minute', make_interval(mins => ${idleMinutes}::int) / 4)`
}

/** What the cookie proves, if there is such a session; throws Unauthenticated for what cannot be one. */
export function sessionProofOf({ config }: Services, token: string | undefined): SessionProof {
  if (!token || !TOKEN.test(token)) throw new Unauthenticated()
  return { tokenHash: hashToken(token), idleMinutes: config.sessionIdleMinutes }
}

/** Who has this session; throws Unauthenticated for none that lives. `along` gets what it looks up. */
export async function principalOfSession(
  { db, config }: Services,
  proof: SessionProof,
  along?: Along
): Promise<SessionPrincipal> {
  const both = await along?.lookup.withSession(db, proof, along.values)
  const row = along ? both?.caller : (await findSession(db, proof))[0]
  if (!row) throw new Unauthenticated()
  along?.keep(both!.found)
  if (!row.caller_live) {
    // Gone for good, so that a clock that jumps back revives nothing.
    await db.deleteFrom('sessions').where('id', '=', row.caller_session_id).execute()
    throw new Unauthenticated()
  }
  if (row.caller_stale) {
    await db
      .updateTable('sessions')
      .set({ last_seen_at: sql<Date>`now()` })
      .where('id', '=', row.caller_session_id)
      // Of requests that come at once, one.
      .where('last_seen_at', '<', freshSince(config.sessionIdleMinutes))
      .execute()
  }
  return {
    type: 'session',
    sessionId: row.caller_session_id,
    userId: row.caller_user_id,
    email: row.caller_email,
    name: row.caller_name,
    role: row.caller_role,
    createdAt: row.caller_created_at,
    lastSeenAt: row.caller_last_seen_at,
    expiresAt: row.caller_expires_at
  }
}
