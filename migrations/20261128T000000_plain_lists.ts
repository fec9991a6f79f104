import { type Kysely, sql } from 'kysely'

const statements = [
  // Pages of lists are no longer cached, so nothing has to tell that they changed.
  ...['insert', 'delete'].flatMap((event) => [
    `drop trigger credential_projects_marked_${event} on credential_projects`,
    `drop trigger credential_usages_marked_${event} on credential_usages`,
    `drop trigger project_members_marked_${event} on project_members`
  ]),
  `drop trigger projects_marked_update on projects`,
  `drop trigger credential_types_marked_update on credential_types`,
  ...['credential', 'member', 'project', 'type'].map((by) => `drop function mark_by_${by}`),
  `drop table list_marks`,

  // The totals of credentials by owner and type remain. They change with inserts, deletes and new owners.
  `drop trigger credentials_counted_update on credentials`,
  `create or replace function count_credentials() returns trigger language plpgsql as $$
  begin
    if tg_op = 'INSERT' then
      insert into credential_totals as t (owner_id, type_id, part, total)
        select owner_id, type_id, pg_backend_pid() % 8, count(*) from made
          group by owner_id, type_id order by owner_id, type_id
        on conflict (owner_id, type_id, part) do update set total = t.total + excluded.total;
    else
      insert into credential_totals as t (owner_id, type_id, part, total)
        select owner_id, type_id, pg_backend_pid() % 8, -count(*) from gone
          group by owner_id, type_id order by owner_id, type_id
        on conflict (owner_id, type_id, part) do update set total = t.total + excluded.total;
    end if;
    return null;
  end $$`,
  // The settings that the function had while it also found whose pages had changed.
  `alter function count_credentials() reset all`,
  `create function count_moved_credential() returns trigger language plpgsql as $$
  begin
    insert into credential_totals as t (owner_id, type_id, part, total)
      select owner_id, type_id, pg_backend_pid() % 8, difference
        from (values (new.owner_id, new.type_id, 1), (old.owner_id, old.type_id, -1))
          as moved(owner_id, type_id, difference)
        order by owner_id, type_id
      on conflict (owner_id, type_id, part) do update set total = t.total + excluded.total;
    return null;
  end $$`,
  `create trigger credentials_counted_move after update on credentials for each row
    when (old.owner_id <> new.owner_id or old.type_id <> new.type_id)
    execute function count_moved_credential()`,

  `drop index if exists credentials_name_trigrams`
]

// Search by name within an owner's credentials, where the server has the extensions and lets the role create
// them. Without the index a search reads the owner's credentials, and still none of others.
const search = `do $$ begin
  create extension if not exists pg_trgm;
  create extension if not exists btree_gin;
  create index credentials_owner_name_trigrams on credentials using gin (owner_id, name gin_trgm_ops);
exception when others then
  raise notice 'no pg_trgm or btree_gin: searching by name reads all credentials of the owner';
end $$`

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [...statements, search]) await sql.raw(statement).execute(db)
}
