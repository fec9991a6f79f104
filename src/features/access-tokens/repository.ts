import { type ExpressionBuilder, sql } from 'kysely'
import type { Database, Transaction } from '../../db/database.ts'
import type { Tables } from '../../db/tables.ts'

const columns = ['id', 'name', 'scopes', 'project_id', 'expires_at', 'last_used_at', 'created_at'] as const

export interface AccessTokenRow {
  id: string
  name: string
  scopes: string[]
  project_id: string | null
  expires_at: Date | null
  last_used_at: Date | null
  created_at: Date
}

/** Whose tokens: a person's, or a project's. */
export type TokenHolder = { user_id: string; project_id: null } | { user_id: null; project_id: string }

export interface NewAccessTokenRow {
  id: string
  token_hash: Buffer
  name: string
  scopes: string[]
  created_by: string
  expires_at: Date | null
}

export function insertToken(
  trx: Transaction,
  holder: TokenHolder,
  token: NewAccessTokenRow
): Promise<AccessTokenRow> {
  return trx
    .insertInto('access_tokens')
    .values({ ...token, ...holder })
    .returning(columns)
    .executeTakeFirstOrThrow()
}

/** Whether the user may sign in; keeps them from being disabled until the transaction ends, or waits until they are. */
export async function lockMaker(trx: Transaction, userId: string): Promise<boolean> {
  const row = await trx
    .selectFrom('users')
    .select('id')
    .where('id', '=', userId)
    .where('disabled_at', 'is', null)
    .forShare()
    .executeTakeFirst()
  return row !== undefined
}

/** Whether the user is an admin or owner of the project; keeps them one until the transaction ends. */
export async function lockAdmin(trx: Transaction, projectId: string, userId: string): Promise<boolean> {
  const row = await trx
    .selectFrom('project_members')
    .select('role')
    .where('project_id', '=', projectId)
    .where('user_id', '=', userId)
    .where('role', 'in', ['owner', 'admin'])
    .forShare()
    .executeTakeFirst()
  return row !== undefined
}

const heldBy = (holder: TokenHolder) => (eb: ExpressionBuilder<Tables, 'access_tokens'>) =>
  holder.user_id === null
    ? eb('project_id', '=', holder.project_id)
    : eb.and([eb('user_id', '=', holder.user_id), eb('project_id', 'is', null)])

/** The holder's tokens that are not revoked, newest first. */
export function listTokens(db: Database, holder: TokenHolder): Promise<AccessTokenRow[]> {
  return db
    .selectFrom('access_tokens')
    .select(columns)
    .where(heldBy(holder))
    .where('revoked_at', 'is', null)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(1_000)
    .execute()
}

/**
 * Revokes a token of the user's own, or of a project where the user is an admin or owner. Gives it; undefined when
 * there is none, or it is revoked already.
 */
export function revokeToken(db: Database, userId: string, id: string) {
  return db
    .updateTable('access_tokens as t')
    .set({ revoked_at: sql<Date>`now()` })
    .where('t.id', '=', id)
    .where('t.revoked_at', 'is', null)
    .where((eb) =>
      eb.or([
        eb('t.user_id', '=', userId),
        eb.exists(
          eb
            .selectFrom('project_members as m')
            .whereRef('m.project_id', '=', 't.project_id')
            .where('m.user_id', '=', userId)
            .where('m.role', 'in', ['owner', 'admin'])
            .select('m.user_id')
        )
      ])
    )
    .returning(['t.id', 't.name', 't.project_id'])
    .executeTakeFirst()
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
