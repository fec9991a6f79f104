import { sql } from 'kysely'
import { looksLikeAccessToken } from '../crypto/access-tokens.ts'
import { hashToken } from '../crypto/tokens.ts'
import { type Params, prepared } from '../db/statement.ts'
import { Unauthenticated } from '../errors.ts'
import type { Principal } from './principal.ts'
import type { Services } from './services.ts'

const findToken = prepared((db, p: Params<{ tokenHash: Buffer }>) =>
  db
    .selectFrom('access_tokens as t')
    .leftJoin('users as u', 'u.id', 't.user_id')
    .where('t.token_hash', '=', p.tokenHash)
    .where('t.revoked_at', 'is', null)
    .where('u.disabled_at', 'is', null)
    .where((eb) => eb.or([eb('t.expires_at', 'is', null), eb('t.expires_at', '>', sql<Date>`now()`)]))
    .select([
      't.id',
      't.scopes',
      't.name as token_name',
      't.project_id',
      'u.id as user_id',
      'u.email',
      'u.name',
      'u.role'
    ])
    .select(sql<boolean>`t.last_used_at is null or t.last_used_at < now() - interval '1 minute'`.as('stale'))
)

/** Whose token it is that the Authorization header holds (RFC 6750, 2.1); throws Unauthenticated for any other. */
export async function principalOfToken({ db }: Services, authorization: string): Promise<Principal> {
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1]
  // What cannot be a token is not looked for.
  if (!token || !looksLikeAccessToken(token)) throw new Unauthenticated()
  const [row] = await findToken(db, { tokenHash: hashToken(token) })
  if (!row) throw new Unauthenticated()
  if (row.stale) {
    await db
      .updateTable('access_tokens')
      .set({ last_used_at: sql<Date>`now()` })
      .where('id', '=', row.id)
      // Of requests that come at once, one.
      .where(sql<boolean>`last_used_at is null or last_used_at < now() - interval '1 minute'`)
      .execute()
  }
  const { id: tokenId, scopes, project_id: projectId } = row
  // A token is one person's or one project's: the table says so.
  if (projectId) return { type: 'project-token', tokenId, projectId, scopes, name: row.token_name }
  return {
    type: 'personal-token',
    tokenId,
    scopes,
    userId: row.user_id!,
    email: row.email!,
    name: row.name!,
    role: row.role!
  }
}
