import { type Kysely, sql } from 'kysely'

const statements = [
  // How many credentials each owner has of each type, so that no list has to count them. A row's count is a part of it:
  // writers of different connections take different rows, and do not wait for each other.
  `create table credential_totals (
    owner_id uuid not null references users on delete cascade,
    type_id uuid not null references credential_types on delete cascade,
    part smallint not null,
    total integer not null,
    primary key (owner_id, type_id, part)
  ) with (fillfactor = 70)`,
  `create index credential_totals_type on credential_totals (type_id)`,

  // Once a statement, so that one that writes many counts them at once.
  `create function count_credentials() returns trigger language plpgsql as $$
  begin
    if tg_op = 'INSERT' then
      insert into credential_totals as t (owner_id, type_id, part, total)
        select owner_id, type_id, pg_backend_pid() % 8, count(*) from made group by owner_id, type_id
        on conflict (owner_id, type_id, part) do update set total = t.total + excluded.total;
    else
      insert into credential_totals as t (owner_id, type_id, part, total)
        select owner_id, type_id, pg_backend_pid() % 8, -count(*) from gone group by owner_id, type_id
        on conflict (owner_id, type_id, part) do update set total = t.total + excluded.total;
    end if;
    return null;
  end $$`,

  // Nobody writes between the count and the trigger; readers go on.
  `lock table credentials in share row exclusive mode`,
  `insert into credential_totals (owner_id, type_id, part, total)
    select owner_id, type_id, 0, count(*) from credentials group by owner_id, type_id`,
  `create trigger credentials_counted_insert after insert on credentials
    referencing new table as made for each statement execute function count_credentials()`,
  `create trigger credentials_counted_delete after delete on credentials
    referencing old table as gone for each statement execute function count_credentials()`,
  // A new owner is the one change that moves a credential; Postgres takes no column list where it hands over the rows.
  `create function move_credentials() returns trigger language plpgsql as $$
  begin
    if new.owner_id <> old.owner_id or new.type_id <> old.type_id then
      insert into credential_totals as t (owner_id, type_id, part, total)
        values (new.owner_id, new.type_id, pg_backend_pid() % 8, 1), (old.owner_id, old.type_id, pg_backend_pid() % 8, -1)
        on conflict (owner_id, type_id, part) do update set total = t.total + excluded.total;
    end if;
    return null;
  end $$`,
  `create trigger credentials_counted_move after update of owner_id, type_id on credentials
    for each row execute function move_credentials()`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
