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

  // The totals of credentials by owner and type remain. Each write is of one credential, so a row is counted
  // at once.
  `drop trigger credentials_counted_insert on credentials`,
  `drop trigger credentials_counted_delete on credentials`,
  `drop trigger credentials_counted_update on credentials`,
  `drop function count_credentials`,
  `create function count_credential() returns trigger language plpgsql as $$
  begin
    if tg_op = 'INSERT' then
      insert into credential_totals as t (owner_id, type_id, part, total)
        values (new.owner_id, new.type_id, pg_backend_pid() % 8, 1)
        on conflict (owner_id, type_id, part) do update set total = t.total + 1;
    elsif tg_op = 'DELETE' then
      insert into credential_totals as t (owner_id, type_id, part, total)
        values (old.owner_id, old.type_id, pg_backend_pid() % 8, -1)
        on conflict (owner_id, type_id, part) do update set total = t.total - 1;
    else
      -- In one order, so that two that exchange credentials do not wait for each other.
      insert into credential_totals as t (owner_id, type_id, part, total)
        select owner_id, type_id, pg_backend_pid() % 8, difference
          from (values (new.owner_id, new.type_id, 1), (old.owner_id, old.type_id, -1))
            as moved(owner_id, type_id, difference)
          order by owner_id, type_id
        on conflict (owner_id, type_id, part) do update set total = t.total + excluded.total;
    end if;
    return null;
  end $$`,
  `create trigger credentials_counted after insert or delete on credentials
    for each row execute function count_credential()`,
  `create trigger credentials_counted_move after update on credentials for each row
    when (old.owner_id <> new.owner_id or old.type_id <> new.type_id)
    execute function count_credential()`,

  // Its entries for a word were of all owners. A search reads its owner's credentials instead.
  `drop index if exists credentials_name_trigrams`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
