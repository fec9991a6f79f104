import { type Kysely, sql } from 'kysely'

// Partitions begin at midnight UTC. A new one replaces the last, which has no end and is empty unless a clock
// runs ahead.
const statements = [
  // Adds a table to the partitions of `parent`. It has the rights of no one but its owner.
  `create function audit_new_partition(parent text, suffix text) returns text language plpgsql as $$
  declare
    name text := format('%s_%s', parent, suffix);
    role text;
  begin
    execute format('create table %I (like %I including defaults including constraints)', name, parent);
    execute format('create trigger %I before truncate on %I
      for each statement execute function audit_events_append_only()', parent || '_no_truncate', name);
    if parent = 'audit_links' then
      execute format('alter table %I add primary key (position)', name);
    end if;
    for role in
      select distinct case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end
      from pg_class c, aclexplode(c.relacl) where c.oid = to_regclass(name) and grantee <> c.relowner
    loop
      execute format('revoke all on %I from %s', name, role);
    end loop;
    return name;
  end $$`,
  // The partitions of both tables, which have the same bounds. Null: no bound.
  `create view audit_partitions as
    select c.oid::regclass::text as name, p.oid::regclass::text as parent,
      substring(bound, 'FROM \\(''([0-9a-f-]+)''')::uuid as from_id,
      substring(bound, 'TO \\(''([0-9a-f-]+)''')::uuid as to_id
    from pg_class p join pg_inherits i on i.inhparent = p.oid join pg_class c on c.oid = i.inhrelid
      cross join lateral pg_get_expr(c.relpartbound, c.oid) bound
    where p.oid in (to_regclass('audit_log'), to_regclass('audit_links'))
      -- Of a partition that was dropped meanwhile, Postgres no longer tells the bounds.
      and bound is not null`,
  // Makes partitions of so many days until two of them are ahead of the time.
  `create function audit_extend(days integer) returns void language plpgsql security definer
    set timezone = 'UTC' set lock_timeout = '500ms' as $$
  declare
    width interval := make_interval(days => least(greatest(days, 1), 30));
    start uuid;
    finish uuid;
    one record;
    next text;
  begin
    perform pg_advisory_xact_lock(hashtextextended('latchkey/audit-partitions', 0));
    loop
      select from_id into strict start from audit_partitions
        where parent = 'audit_log' and to_id is null;
      exit when audit_time_of(start) >= now() + 2 * width;
      -- Not one for each width of a time in which no replica ran.
      finish := audit_id_of(greatest(audit_time_of(start) + width,
        date_trunc('day', now()) + interval '1 day'));
      for one in
        select p.*, case parent when 'audit_log' then 'id' else 'event_id' end as key
        from audit_partitions p where to_id is null order by parent = 'audit_log' desc
      loop
        execute format('alter table %s detach partition %s', one.parent, one.name);
        next := audit_new_partition(one.parent, to_char(audit_time_of(finish), 'YYYYMMDD'));
        execute format('with later as (delete from %s where %I >= %L returning *)
          insert into %I select * from later', one.name, one.key, finish, next);
        execute format('alter table %s attach partition %s for values from (%L) to (%L)',
          one.parent, one.name, start, finish);
        execute format('alter table %s attach partition %I for values from (%L) to (maxvalue)',
          one.parent, next, finish);
      end loop;
    end loop;
  end $$`,
  `revoke execute on function audit_extend from public`,
  `revoke execute on function audit_new_partition from public`,
  `do $$
  declare
    log text;
    start uuid;
    name text;
  begin
    execute format('alter function audit_extend set search_path = %I, pg_temp', current_schema());
    set local timezone = 'UTC';
    foreach log in array array['audit_log', 'audit_links'] loop
      select to_id into strict start from audit_partitions p where parent = log;
      name := audit_new_partition(log, to_char(audit_time_of(start), 'YYYYMMDD'));
      execute format('alter table %I attach partition %I for values from (%L) to (maxvalue)',
        log, name, start);
    end loop;
  end $$`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
