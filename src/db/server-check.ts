import type pg from 'pg'
import { isDatabaseError, READ_ONLY, STANDBY, UNFIT_POOLER } from './errors.ts'

/** Settings of a session, as Postgres writes them. */
export type Limits = Readonly<
  Record<
    'plan_cache_mode' | 'statement_timeout' | 'lock_timeout' | 'idle_in_transaction_session_timeout',
    string
  >
>

export const LIMITS: Limits = {
  plan_cache_mode: 'force_generic_plan',
  statement_timeout: '10s',
  lock_timeout: '5s',
  idle_in_transaction_session_timeout: '10s'
}

type Query = (query: { name?: string; text: string; values?: unknown[] }) => Promise<pg.QueryResult>

const WRITABLE = `pg_is_in_recovery() as is_standby, current_setting('transaction_read_only') as read_only`

/** Throws if the server is a standby or read-only. */
export async function requireWritable(query: Query): Promise<void> {
  const { rows } = await query({ text: `select ${WRITABLE}` })
  requireWritableRow(rows[0])
}

function requireWritableRow(row: { is_standby: boolean; read_only: string }): void {
  if (row.is_standby) throw new Error(STANDBY)
  if (row.read_only === 'on') throw new Error(READ_ONLY)
}

/**
 * The first statement of a connection:
 *
 * - It sets the format of times that this code and backups read, whatever the database or role has set.
 * - It sets the limits, which a pooler would reject as start-up parameters. Through a pooler, each
 *   transaction may run in another session, so the limits hold only if the role has them too. A session then
 *   gets what the role has, and nothing else.
 * - It is a named statement, so that a pooler that does not rename prepared statements fails here.
 */
const CHECK = {
  name: 'latchkey_check',
  text: `select ${WRITABLE}, pg_backend_pid() <> $1::int as is_pooled,
    (select count(set_config(key, value, false)) from jsonb_each_text($2)
      where pg_backend_pid() = $1::int or $3::boolean) as set,
    set_config('datestyle', 'ISO', false) as dates,
    exists (select from pg_db_role_setting s
      where s.setrole = (select oid from pg_roles where rolname = session_user)
        and s.setdatabase = (select oid from pg_database where datname = current_database())
        and s.setconfig @> (select array_agg(key || '=' || value) from jsonb_each_text($2))
    ) as role_has_limits`
}

/** Throws if the server accepts no writes. `processId` identifies this connection to the server or pooler. */
export async function checkServer(query: Query, limits: Limits, processId: number): Promise<void> {
  const ours = limits === LIMITS
  const { rows } = await query({ ...CHECK, values: [processId, JSON.stringify(limits), ours] })
  requireWritableRow(rows[0])
  if (rows[0].is_pooled && ours && !rows[0].role_has_limits) await giveRoleLimits(query)
}

async function giveRoleLimits(query: Query): Promise<void> {
  try {
    await query({ text: GIVE_ROLE_LIMITS })
  } catch (error) {
    if (!isDatabaseError(error) || error.code !== '42501') throw error
    const settings = Object.entries(LIMITS).map(([name, value]) => `set ${name} = '${value}'`)
    throw new UnsupportedPooler(
      'the role cannot limit its own sessions; as an administrator, run "alter role … in database … ' +
        `${settings[0]}", and the same with ${settings.slice(1).join(', ')}`,
      error
    )
  }
}

/** A prepared statement exists already, or does not exist. */
const UNPREPARED = new Set(['42P05', '26000'])

/** Returns an UnsupportedPooler that says what to change, or the same error if no pooler caused it. */
export function explained(error: unknown): unknown {
  if (!isDatabaseError(error)) return error
  if (UNPREPARED.has(error.code ?? ''))
    return new UnsupportedPooler(
      'use PgBouncer 1.21 or later with max_prepared_statements of 200 or more',
      error
    )
  if (error.message.startsWith('unsupported startup parameter'))
    return new UnsupportedPooler(
      `remove the parameter that it rejects from the database URL (${error.message})`,
      error
    )
  return error
}

/** The connection pooler cannot be used. The message says what to change. */
export class UnsupportedPooler extends Error {
  constructor(remedy: string, cause: Error) {
    super(`${UNFIT_POOLER}: ${remedy}`, { cause })
    this.name = 'UnsupportedPooler'
  }
}

/** One transaction. It takes a lock because Postgres cannot alter a role in two sessions at a time. */
const GIVE_ROLE_LIMITS = `do $$
declare
  alter_role text := format('alter role %I in database %I set ', session_user, current_database());
begin
  perform pg_advisory_xact_lock(hashtextextended('latchkey/role limits', 0));
  ${Object.entries(LIMITS)
    .map(([name, value]) => `execute alter_role || '${name} = ''${value}''';`)
    .join('\n  ')}
end $$`
