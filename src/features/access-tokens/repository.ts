import { sql } from 'kysely'
import type { Database } from '../../db/database.ts'

const columns = ['id', 'name', 'scopes', 'expires_at', 'last_used_at', 'created_at'] as const

export interface AccessTokenRow {
  id: string
  name: string
  scopes: string[]
  expires_at: Date | null
  last_used_at: Date | null
  created_at: Date
}

export interface NewPersonalToken {
  id: string
  token_hash: Buffer
  name: string
  scopes: string[]
  user_id: string
  expires_at: Date | null
}

export function insertPersonalToken(db: Database, token: NewPersonalToken): Promise<AccessTokenRow> {
  return db
    .insertInto('access_tokens')
    .values({ ...token, created_by: token.user_id })
    .returning(columns)
    .executeTakeFirstOrThrow()
}

/** The user's tokens that are not revoked, newest first. */
export function listPersonalTokens(db: Database, userId: string): Promise<AccessTokenRow[]> {
  return db
    .selectFrom('access_tokens')
    .select(columns)
    .where('user_id', '=', userId)
    .where('revoked_at', 'is', null)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(1_000)
    .execute()
}

/** False when the user has no such token, or it is revoked already. */
export async function revokePersonalToken(db: Database, userId: string, id: string): Promise<boolean> {
  const result = await db
    .updateTable('access_tokens')
    .set({ revoked_at: sql<Date>`now()` })
    .where('user_id', '=', userId)
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Ends all that act as the user. */
export async function revokeTokensOf(db: Database, userId: string): Promise<void> {
  await db
    .updateTable('access_tokens')
    .set({ revoked_at: sql<Date>`now()` })
    .where('user_id', '=', userId)
    .where('revoked_at', 'is', null)
    .execute()
}
