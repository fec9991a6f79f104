import { sql } from 'kysely'
import { jsonObjectFrom } from 'kysely/helpers/postgres'
import { isValidToken } from '../../auth/caller-repository.ts'
import { rolesAtLeast } from '../../auth/roles.ts'
import type { Database, Transaction } from '../../db/database.ts'
import { orderBy, type Slice } from '../../db/keyset.ts'
import { type Found, pagedList } from '../../db/paged-list.ts'
import type { Params } from '../../db/prepared.ts'
import type { Row } from '../../db/tables.ts'

const columns = ['id', 'name', 'scopes', 'project_id', 'expires_at', 'last_used_at', 'created_at'] as const

type Token = Row<'access_tokens', (typeof columns)[number]>

/** A token with the user who created it: null if that user was deleted. */
export type AccessTokenRow = Token & { creator: { id: string; name: string } | null }

/** The owner of a token: a user or a project. */
export type TokenHolder = { user_id: string; project_id: null } | { user_id: null; project_id: string }

export function insertToken(
  trx: Transaction,
  holder: TokenHolder,
  token: Row<'access_tokens', 'id' | 'token_hash' | 'name' | 'scopes' | 'created_by' | 'expires_at'>
): Promise<Token> {
  return trx
    .insertInto('access_tokens')
    .values({ ...token, ...holder })
    .returning(columns)
    .executeTakeFirstOrThrow()
}

type TokenSort = `${'' | '-'}${'createdAt' | 'expiresAt'}`

const pageOfTokens = pagedList(
  (db, p: Params<{ userId: string; projectId: string }>, given) =>
    db
      .selectFrom('access_tokens as t')
      .where('t.revoked_at', 'is', null)
      .$if(given.has('userId'), (query) => query.where('t.user_id', '=', p.userId))
      .$if(given.has('projectId'), (query) => query.where('t.project_id', '=', p.projectId))
      .select(columns.map((column) => `t.${column}` as const))
      .select((eb) =>
        jsonObjectFrom(
          eb.selectFrom('users as u').whereRef('u.id', '=', 't.created_by').select(['u.id', 'u.name'])
        ).as('creator')
      ),
  (sort: TokenSort) =>
    orderBy(
      sort,
      {
        createdAt: { value: sql`t.created_at`, type: 'timestamptz' },
        expiresAt: { value: sql`coalesce(t.expires_at, 'infinity'::timestamptz)`, type: 'timestamptz' }
      },
      { value: sql`t.id`, type: 'uuid' }
    )
)

/** Returns one page of the holder's tokens that are not revoked, and the total. */
export function listTokens(
  db: Database,
  holder: TokenHolder,
  slice: Slice<TokenSort>
): Promise<Found<AccessTokenRow>> {
  const { user_id, project_id } = holder
  return pageOfTokens(db, { userId: user_id ?? undefined, projectId: project_id ?? undefined }, slice)
}

/** True if the token is neither revoked nor expired, and its user, if it has one, may sign in. */
export async function isValid(db: Database, id: string): Promise<boolean> {
  const row = await db
    .selectFrom('access_tokens as t')
    .leftJoin('users as u', 'u.id', 't.user_id')
    .where('t.id', '=', id)
    .where(isValidToken)
    .where('u.disabled_at', 'is', null)
    .select('t.id')
    .executeTakeFirst()
  return row !== undefined
}

/**
 * Revokes a personal token of the user's, or a token of a project where the user is an admin. Returns
 * undefined if there is no such token or it is already revoked.
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
            .where('m.role', 'in', rolesAtLeast('admin'))
            .select('m.user_id')
        )
      ])
    )
    .returning(['t.id', 't.name', 't.project_id'])
    .executeTakeFirst()
}

/** Revokes all personal tokens of the user. */
export async function revokeTokensOf(db: Database, userId: string): Promise<void> {
  await db
    .updateTable('access_tokens')
    .set({ revoked_at: sql<Date>`now()` })
    .where('user_id', '=', userId)
    .where('revoked_at', 'is', null)
    .execute()
}
