import { type Kysely, sql } from 'kysely'

/** Fixed from the beginning. */
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

// The chain beside the events instead of in them: sealing an event wrote all of its row and its index entries again.
const statements = [
  `lock table audit_events in access exclusive mode`,
  `create table audit_chain (
    position bigint primary key check (position > 0),
    event_id uuid not null unique,
    hash bytea not null check (octet_length(hash) = 32)
  )`,
  `insert into audit_chain (position, event_id, hash)
    select position, id, hash from audit_events where position is not null order by position`,
  // What has no place in the chain yet. Whoever counts an event or gives it its place has its row here; denials that are alike
  // are counted for a minute, so one has its place after two.
  `create table audit_unsealed (
    event_id uuid primary key,
    settled_at timestamptz not null
  )`,
  `insert into audit_unsealed (event_id, settled_at)
    select id, now() + interval '2 minutes' from audit_events where position is null`,
  `create function audit_events_unsealed() returns trigger language plpgsql as $$
  begin
    insert into audit_unsealed (event_id, settled_at)
      select id, case when fold_key is null then now() else now() + interval '2 minutes' end from added;
    return null;
  end $$`,

  `drop trigger audit_events_append_only on audit_events`,
  `alter table audit_events drop column position, drop column hash`,
  `create trigger audit_events_unsealed after insert on audit_events referencing new table as added
    for each statement execute function audit_events_unsealed()`,
  `create or replace function audit_events_append_only() returns trigger language plpgsql as $$
  begin
    if tg_op = 'UPDATE' and tg_table_name = 'audit_events' then
      -- Until it is sealed, a denial is counted, and nothing else of an event ever changes.
      if old.fold_key is not null and new.count >= old.count
        and row(${columnsOf('old')}) is not distinct from row(${columnsOf('new')})
      then
        perform from audit_unsealed where event_id = old.id for key share;
        if found then
          return new;
        end if;
      end if;
    end if;
    raise exception 'audit events are only ever added' using errcode = 'insufficient_privilege';
  end $$`,
  `create trigger audit_events_append_only before update on audit_events
    for each row execute function audit_events_append_only()`,
  `create trigger audit_unsealed_fixed before update on audit_unsealed
    for each row execute function audit_events_append_only()`,
  `create trigger audit_chain_append_only before update or delete on audit_chain
    for each row execute function audit_events_append_only()`,
  `create trigger audit_chain_no_truncate before truncate on audit_chain
    for each statement execute function audit_events_append_only()`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
