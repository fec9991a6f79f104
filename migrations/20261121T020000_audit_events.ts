import { type Kysely, sql } from 'kysely'

const statements = [
  // No foreign keys: an event outlives what it tells of.
  `create table audit_events (
    id uuid primary key,
    occurred_at timestamptz not null default now(),
    action text not null,
    outcome text not null check (outcome in ('allowed', 'denied')),
    actor_type text not null check (actor_type in ('user', 'personal-token', 'project-token', 'anonymous', 'system')),
    actor_id uuid,
    actor_name text,
    target_type text,
    target_id uuid,
    target_name text,
    owner_id uuid,
    project_id uuid,
    ip text,
    user_agent text,
    request_id text,
    details jsonb not null default '{}',
    -- Denials of one minute that are alike are one event.
    count integer not null default 1 check (count > 0),
    fold_key text unique,
    -- The chain: fixed once, by the sealing job.
    position bigint unique check (position > 0),
    hash bytea check (octet_length(hash) = 32),
    check ((position is null) = (hash is null))
  )`,
  `create index audit_events_unsealed on audit_events (id) where position is null`,
  `create index audit_events_owner on audit_events (owner_id, id desc)`,
  `create index audit_events_project on audit_events (project_id, id desc)`,
  `create index audit_events_target on audit_events (target_id, id desc)`,
  `create index audit_events_actor on audit_events (actor_id, id desc)`,

  `create function audit_events_append_only() returns trigger language plpgsql as $$
  begin
    if tg_op = 'UPDATE' and old.position is null then
      -- Until it is sealed, an event is counted and sealed, and nothing else of it changes.
      if (to_jsonb(old) - '{count,position,hash}'::text[]) = (to_jsonb(new) - '{count,position,hash}'::text[])
        and new.count >= old.count
      then
        return new;
      end if;
    end if;
    raise exception 'audit events are only ever added' using errcode = 'insufficient_privilege';
  end $$`,
  `create trigger audit_events_append_only before update or delete on audit_events
    for each row execute function audit_events_append_only()`,
  `create trigger audit_events_no_truncate before truncate on audit_events
    for each statement execute function audit_events_append_only()`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
