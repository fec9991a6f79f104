import { type Kysely, sql } from 'kysely'

/** Trigger functions that run with the rights of the tables' owner. */
const DEFINER = `language plpgsql security definer`

const statements = [
  // Signed ends of exported parts of the chain. What is before the last of them may be dropped.
  `create table audit_heads (
    position bigint primary key check (position > 0),
    hash bytea not null check (octet_length(hash) = 32),
    -- The signed bytes, JSON text.
    head bytea not null,
    signature bytea not null check (octet_length(signature) = 64),
    created_at timestamptz not null default now()
  )`,
  `create trigger audit_heads_append_only before update or delete on audit_heads
    for each row execute function audit_events_append_only()`,
  `create trigger audit_heads_no_truncate before truncate on audit_heads
    for each statement execute function audit_events_append_only()`,

  // Denials of a minute that are alike are one event. Its row here counts them, and the trigger the event.
  `create table audit_folds (
    minute bigint not null,
    key text collate "C" not null,
    event_id uuid not null,
    count integer not null default 1,
    primary key (minute, key)
  )`,
  `create function audit_folds_count() returns trigger ${DEFINER} as $$
  begin
    update audit_log set count = new.count where id = new.event_id;
    if not found then
      raise exception 'there is no event %', new.event_id;
    end if;
    return null;
  end $$`,
  `create trigger audit_folds_count after update on audit_folds
    for each row execute function audit_folds_count()`,

  // Recognizes denials by their outcome now: only version 1.0.0 sets \`fold_key\`.
  `create or replace function audit_unsealed_add() returns trigger ${DEFINER} as $$
  begin
    insert into audit_unsealed (event_id, settled_at)
      select id, case outcome when 'denied' then now() + interval '2 minutes' else now() end from added;
    return null;
  end $$`,
  `create function audit_log_fixed() returns trigger ${DEFINER} as $$
  begin
    if tg_op = 'DELETE' then
      perform from audit_links where event_id = old.id
        and position <= (select max(position) from audit_heads);
      if found then
        return old;
      end if;
    elsif old.outcome = 'denied' and new.count >= old.count then
      -- Until it is sealed, a denial is counted, and nothing else of an event ever changes.
      old.count = new.count;
      perform from audit_unsealed where event_id = old.id and old::text = new::text for key share;
      if found then
        return new;
      end if;
    end if;
    raise exception 'audit events are only ever added' using errcode = 'insufficient_privilege';
  end $$`,
  `create function audit_links_fixed() returns trigger ${DEFINER} as $$
  begin
    if tg_op = 'DELETE' and old.position <= (select max(position) from audit_heads) then
      return old;
    end if;
    raise exception 'audit events are only ever added' using errcode = 'insufficient_privilege';
  end $$`,
  `do $$
  declare name text;
  begin
    foreach name in array array['audit_folds_count', 'audit_unsealed_add', 'audit_log_fixed',
      'audit_links_fixed'] loop
      execute format('alter function %I() set search_path = %I, pg_temp', name, current_schema());
    end loop;
  end $$`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
