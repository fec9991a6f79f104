import { type Kysely, sql } from 'kysely'

/** Fixed from the beginning. Until it is sealed, an event is counted and sealed, and nothing else of it changes. */
const FIXED = [
  'id',
  'occurred_at',
  'action',
  'outcome',
  'actor_type',
  'actor_id',
  'actor_name',
  'target_type',
  'target_id',
  'target_name',
  'owner_id',
  'project_id',
  'ip',
  'user_agent',
  'request_id',
  // As the chain hashes it.
  'details::text',
  'fold_key'
]
const columnsOf = (row: string) => FIXED.map((column) => `${row}.${column}`).join(', ')

// The same rule as before, as a condition that Postgres evaluates itself: sealing an event called a function that turned it
// into JSON twice.
const statements = [
  // Replaced and not dropped, which would have readers wait, and everybody behind those that are at it.
  `create or replace trigger audit_events_append_only before update on audit_events
    for each row when (old.position is not null or new.count < old.count
      or row(${columnsOf('old')}) is distinct from row(${columnsOf('new')}))
    execute function audit_events_append_only()`,
  `create trigger audit_events_no_delete before delete on audit_events
    for each row execute function audit_events_append_only()`,
  `create or replace function audit_events_append_only() returns trigger language plpgsql as $$
  begin
    raise exception 'audit events are only ever added' using errcode = 'insufficient_privilege';
  end $$`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
