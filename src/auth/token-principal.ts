import { type Kysely, sql } from 'kysely'
import { looksLikeAccessToken } from '../crypto/access-tokens.ts'
import { hashToken } from '../crypto/tokens.ts'
import { type Params, prepared } from '../db/prepared.ts'
import type { Tables } from '../db/tables.ts'
import { Unauthenticated } from '../http/problems.ts'
import type { Services } from '../services.ts'
import type { Along } from './lookup.ts'
import type { Principal } from './principal.ts'

export interface TokenProof {
  tokenHash: Buffer
}

export const TOKEN_PROOF = { tokenHash: 'bytea' }

/** The access token that is in force, and whose it is. */
export function tokenOf(db: Kysely<Tables>, p: Params<TokenProof>) {
  return db
    .selectFrom('access_tokens as t')
    .leftJoin('users as u', 'u.id', 't.user_id')
    .where('t.token_hash', '=', p.tokenHash)
    .where('t.revoked_at', 'is', null)
    .where('u.disabled_at', 'is', null)
    .where((eb) => eb.or([eb('t.expires_at', 'is', null), eb('t.expires_at', '>', sql<Date>`now()`)]))
    .select([
      't.id as caller_token_id',
      't.scopes as caller_scopes',
      't.name as caller_token_name',
      't.project_id as caller_project_id',
      'u.id as caller_user_id',
      'u.email as caller_email',
      'u.name as caller_name',
      'u.role as caller_role'
    ])
    .select(
      sql<boolean>`t.last_used_at is null or t.last_used_at < now() - interval '1 minute'`.as('caller_stale')
    )
}

const findToken = prepared(tokenOf, { together: TOKEN_PROOF })

export type TokenRow = Awaited<ReturnType<typeof findToken>>[number]

/** What the Authorization header proves (RFC 6750, 2.1), if there is such a token; throws Unauthenticated for what cannot be one. */
export function tokenProofOf(authorization: string): TokenProof {
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1]
  if (!token || !looksLikeAccessToken(token)) throw new Unauthenticated()
  return { tokenHash: hashToken(token) }
}

/** Whose token it is; throws Unauthenticated for one that is not in force. `along` gets what it looks up. */
export async function principalOfToken(
  { db }: Services,
  proof: TokenProof,
  along?: Along
): Promise<Principal> {
  const both = await along?.lookup.withToken(db, proof, along.values)
  const row = along ? both?.caller : (await findToken(db, proof))[0]
  if (!row) throw new Unauthenticated()
  along?.keep(both!.found)
  if (row.caller_stale) {
    await db
      .updateTable('access_tokens')
      .set({ last_used_at: sql<Date>`now()` })
      .where('id', '=', row.caller_token_id)
      // Of requests that come at once, one.
      .where(sql<boolean>`last_used_at is null or last_used_at < now() - interval '1 minute'`)
      .execute()
  }
  const { caller_token_id: tokenId, caller_scopes: scopes, caller_project_id: projectId } = row
  // A token is one person's or one project's: the table says so.
  if (projectId) return { type: 'project-token', tokenId, projectId, scopes, name: row.caller_token_name }
  return {
    type: 'personal-token',
    tokenId,
    scopes,
    userId: row.caller_user_id!,
    email: row.caller_email!,
    name: row.caller_name!,
    role: row.caller_role!
  }
}
