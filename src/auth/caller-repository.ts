import { type Expression, type Kysely, type RawBuilder, sql } from 'kysely'
import type { SqlTypes } from '../db/batch-query.ts'
import type { Database, Transaction } from '../db/database.ts'
import { type Params, prepared } from '../db/prepared.ts'
import type { Tables } from '../db/tables.ts'
import type { PresentedToken } from './presented-token.ts'

/** Parameters of `callerByToken`. */
export interface TokenParams {
  tokenKind: PresentedToken['kind']
  tokenHash: Buffer
  sessionIdleMinutes: number
}

export const TOKEN_PARAMS: SqlTypes<TokenParams> = {
  tokenKind: 'text',
  tokenHash: 'bytea',
  sessionIdleMinutes: 'int'
}

export interface CallerRow {
  caller_kind: PresentedToken['kind']
  /** The id of the session or access token. */
  caller_token_id: string
  caller_token_name: string | null
  caller_scopes: string[] | null
  /** Null for a project token. */
  caller_user_id: string | null
  caller_email: string | null
  caller_name: string | null
  caller_role: Tables['users']['role'] | null
  /** Null for all but project tokens. */
  caller_project_id: string | null
  /** The times of a session. */
  caller_created_at: Date | null
  caller_last_seen_at: Date | null
  caller_expires_at: Date | null
  /** False for a session that has expired, or whose user is disabled. */
  caller_live: boolean
  /** True if the time of the last use has to be updated. */
  caller_stale: boolean
}

/** The last use is updated once a minute, or more often if the idle limit is short. */
const lastUseToWrite = (idleMinutes: Expression<number> | number) =>
  sql<Date>`now() - least(interval '1 minute', make_interval(mins => ${idleMinutes}::int) / 4)`

/** True if the session `s` of the user `u` may be used, apart from its idle time. */
const isValidSession = sql`s.expires_at > now() and u.disabled_at is null`

/** True if the access token `t` is neither revoked nor expired. */
export const isValidToken = sql<boolean>`(t.revoked_at is null
  and (t.expires_at is null or t.expires_at > now()))`

/**
 * A table expression: the session with this token, expired or not, or the valid access token. A check
 * constraint ensures that an access token has either a user or a project.
 */
export const callerByToken = (p: Params<TokenParams>) => sql<CallerRow>`(
  select 'session' as caller_kind, s.id as caller_token_id, null as caller_token_name,
    null::text[] as caller_scopes, u.id as caller_user_id, u.email as caller_email, u.name as caller_name,
    u.role as caller_role, null::uuid as caller_project_id, s.created_at as caller_created_at,
    s.last_seen_at as caller_last_seen_at, s.expires_at as caller_expires_at,
    ${isValidSession}
      and s.last_seen_at > now() - make_interval(mins => ${p.sessionIdleMinutes}) as caller_live,
    s.last_seen_at < ${lastUseToWrite(p.sessionIdleMinutes)} as caller_stale
  from sessions s join users u on u.id = s.user_id
  where ${p.tokenKind} = 'session' and s.token_hash = ${p.tokenHash}
  union all
  select 'access-token', t.id, t.name, t.scopes, u.id, u.email, u.name, u.role, t.project_id,
    null, null, null, true, t.last_used_at is null or t.last_used_at < now() - interval '1 minute'
  from access_tokens t left join users u on u.id = t.user_id
  where ${p.tokenKind} = 'access-token' and t.token_hash = ${p.tokenHash}
    and ${isValidToken} and u.disabled_at is null)`

export const findCaller = prepared(
  (db: Kysely<Tables>, p: Params<TokenParams>) =>
    db.selectFrom(callerByToken(p).as('caller')).select(sql<CallerRow>`caller.*` as never),
  { batch: TOKEN_PARAMS }
)

/** Parameters of `isLive`. */
export interface CallerTokenParams {
  callerKind: PresentedToken['kind']
  /** The id of the session or access token. */
  callerTokenId: string
}

/**
 * True if the session or access token still exists, and neither it nor its user has ended. Reads it by its
 * key: without `offset 0`, the planner may read all sessions for a batch.
 */
export const isLive = (p: Params<CallerTokenParams>) => sql<boolean>`(case ${p.callerKind}::text
  when 'session' then exists (
    select from sessions s join users u on u.id = s.user_id
    where s.id = ${p.callerTokenId}::uuid and ${isValidSession} offset 0)
  else exists (
    select from access_tokens t left join users u on u.id = t.user_id
    where t.id = ${p.callerTokenId}::uuid and ${isValidToken} and u.disabled_at is null offset 0) end)`

/**
 * The same for a user's session or personal token, in a statement that makes a change. Locks it until the
 * end, so that access cannot end in between: whoever disables a user also ends these. The user is locked only
 * against deletion, and first, in the same order as the code that deletes users.
 */
export const isLiveLocked = (p: Params<CallerTokenParams>, kind: CallerTokenParams['callerKind']) =>
  kind === 'session'
    ? sql<boolean>`exists (
        select from users u join sessions s on s.user_id = u.id
        where s.id = ${p.callerTokenId}::uuid and ${isValidSession}
        for key share of u for key share of s)`
    : sql<boolean>`exists (
        select from users u join access_tokens t on t.user_id = u.id
        where t.id = ${p.callerTokenId}::uuid and ${isValidToken} and u.disabled_at is null
        for key share of u for share of t)`

/** How the caller's user is locked: `share` against changes of it, `update` against such locks as well. */
export type UserLock = 'share' | 'update'

const LOCKS: Record<UserLock, RawBuilder<unknown>> = {
  share: sql`for share of u`,
  update: sql`for no key update of u`
}

/**
 * Locks the user of a valid session and then the session, in the same order as the code that ends sessions.
 * Returns undefined if the session or the user's access has ended.
 */
export function lockSession(trx: Transaction, id: string, userLock: UserLock) {
  return trx
    .selectFrom('users as u')
    .innerJoin('sessions as s', 's.user_id', 'u.id')
    .where('s.id', '=', id)
    .where('s.expires_at', '>', sql<Date>`now()`)
    .where('u.disabled_at', 'is', null)
    .select('u.role')
    .modifyEnd(sql`${LOCKS[userLock]} for key share of s`)
    .executeTakeFirst()
}

/** Same as `lockSession`, for a personal token. */
export function lockUserToken(trx: Transaction, id: string, userLock: UserLock) {
  return trx
    .selectFrom('users as u')
    .innerJoin('access_tokens as t', 't.user_id', 'u.id')
    .where('t.id', '=', id)
    .where(isValidToken)
    .where('u.disabled_at', 'is', null)
    .select('u.role')
    .modifyEnd(sql`${LOCKS[userLock]} for share of t`)
    .executeTakeFirst()
}

/** Locks the project of a valid token and then the token. Returns undefined if one of them has ended. */
export function lockProjectToken(trx: Transaction, id: string) {
  return trx
    .selectFrom('projects as p')
    .innerJoin('access_tokens as t', 't.project_id', 'p.id')
    .where('t.id', '=', id)
    .where(isValidToken)
    .select('t.id')
    .forKeyShare('p')
    .forShare('t')
    .executeTakeFirst()
}

/** Deletes a session that has ended, so that it does not become valid again if the clock is set back. */
export async function deleteEndedSession(db: Database, id: string): Promise<void> {
  await db.deleteFrom('sessions').where('id', '=', id).execute()
}

/**
 * Updates the last use of sessions. Does not wait for concurrent updates of it, nor for transactions of the
 * same callers.
 */
export async function touchSessions(db: Database, ids: string[], idleMinutes: number): Promise<void> {
  await db
    .updateTable('sessions')
    .set({ last_seen_at: sql<Date>`now()` })
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('sessions')
        .select('id')
        .where('id', '=', sql<string>`any(${ids}::uuid[])`)
        .where('last_seen_at', '<', lastUseToWrite(idleMinutes))
        .forNoKeyUpdate()
        .skipLocked()
    )
    .execute()
}

/** Same as `touchSessions`, for access tokens. */
export async function touchAccessTokens(db: Database, ids: string[]): Promise<void> {
  await db
    .updateTable('access_tokens')
    .set({ last_used_at: sql<Date>`now()` })
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('access_tokens')
        .select('id')
        .where('id', '=', sql<string>`any(${ids}::uuid[])`)
        .where(sql<boolean>`(last_used_at is null or last_used_at < now() - interval '1 minute')`)
        .forNoKeyUpdate()
        .skipLocked()
    )
    .execute()
}
