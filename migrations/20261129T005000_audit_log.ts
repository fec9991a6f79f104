import { type Kysely, sql } from 'kysely'

// The log in partitions by time, as the ids are. The first one is `audit_events`, which version 1.0.0 goes on
// using by its name. The last one has no end, so an event of a clock that runs ahead has its place too.
const statements = [
  `create table audit_log (
    like audit_events including defaults,
    constraint audit_events_outcome_check check (outcome in ('allowed', 'denied')),
    constraint audit_events_actor_type_check check (
      actor_type in ('user', 'personal-token', 'project-token', 'anonymous', 'system')),
    constraint audit_events_count_check check (count > 0),
    primary key (id)
  ) partition by range (id)`,
  `create index audit_log_owner on audit_log (owner_id, id desc)`,
  `create index audit_log_project on audit_log (project_id, id desc) where project_id is not null`,
  `create index audit_log_target on audit_log (target_id, id desc)`,
  `create index audit_log_actor on audit_log (actor_id, id desc)`,
  `create trigger audit_log_unsealed after insert on audit_log referencing new table as added
    for each statement execute function audit_unsealed_add()`,
  `create trigger audit_log_fixed before update or delete on audit_log
    for each row execute function audit_log_fixed()`,
  `create trigger audit_log_no_truncate before truncate on audit_log
    for each statement execute function audit_events_append_only()`
]

const attach = (end: string) => [
  `alter table audit_log attach partition audit_events for values from (minvalue) to ('${end}')`,
  // The partition has the trigger of the log too, which decides on updates.
  `create or replace function audit_events_append_only() returns trigger language plpgsql as $$
  begin
    if tg_op = 'UPDATE' and tg_table_name = 'audit_events' then
      return new;
    end if;
    raise exception 'audit events are only ever added' using errcode = 'insufficient_privilege';
  end $$`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
  const { rows } = await sql<{ end: string }>`
    select substring(pg_get_constraintdef(oid), '[0-9a-f]{8}-[0-9a-f-]{27}') as end
    from pg_constraint where conrelid = 'audit_events'::regclass and conname = 'audit_events_end'`.execute(db)
  const { end } = rows[0]!
  for (const statement of attach(end)) await sql.raw(statement).execute(db)
}
