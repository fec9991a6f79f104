import { type Kysely, sql } from 'kysely'

/** A new mark for these owners, in one order for all. A row's mark is the writer's own until its transaction ends. */
const mark = (owners: string) => `insert into list_marks (owner_id, part, mark)
  select owner_id, pg_backend_pid() % 8, random() * 9e15 from (${owners}) changed group by owner_id order by owner_id
  on conflict (owner_id, part) do update set mark = excluded.mark;`

/** What is not as many as before is counted. */
const count = (rows: string) => `insert into credential_totals as t (owner_id, type_id, part, total)
  select owner_id, type_id, pg_backend_pid() % 8, sum(number) from (${rows}) changed
    group by owner_id, type_id having sum(number) <> 0 order by owner_id, type_id
  on conflict (owner_id, type_id, part) do update set total = t.total + excluded.total;`

/** Plans that are made once look for rows by keys, also where the first change was of many. */
const BY_KEY = 'set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off'

const trigger = (name: string, body: string) =>
  `create or replace function ${name}() returns trigger language plpgsql ${BY_KEY} as $$
  begin ${body} return null; end $$`

const on = (event: string, table: string, rows: string, execute: string) =>
  `create trigger ${table}_marked_${event} after ${event} on ${table}
    referencing ${rows} for each statement execute function ${execute}()`

const made = 'select owner_id, type_id, 1 as number from made'
const gone = 'select owner_id, type_id, -1 as number from gone'
const changed = (...columns: string[]) => `select id from made join gone using (id)
  where ${columns.map((column) => `made.${column} <> gone.${column}`).join(' or ')}`

// Whose credentials these are, who changes that has to have ended: what it changes is not seen before, and its own mark
// may be there first. So who looks for owners waits for those who make others, and they for it: by the rows of
// credentials, of projects (which a link locks as its foreign key does) and of types (which a credential locks).
const settled = (table: string, ids: string, lock: 'share' | 'key share' | 'update') =>
  `perform from ${table} where id in (${ids}) order by id for ${lock};`

const statements = [
  // Random numbers, of which one is another whenever something changes that a list of the owner's shows: all of an owner
  // together are never again what they were. In parts, as the totals are.
  `create table list_marks (
    owner_id uuid not null references users on delete cascade,
    part smallint not null,
    mark bigint not null,
    primary key (owner_id, part)
  ) with (fillfactor = 70)`,

  trigger(
    'count_credentials',
    // The mark comes first: what else an owner's transaction has changed may have taken it already.
    `if tg_op = 'INSERT' then ${mark('select owner_id from made')} ${count(made)}
     elsif tg_op = 'DELETE' then ${mark('select owner_id from gone')} ${count(gone)}
     else
       ${settled(
         'projects',
         `select l.project_id from made join gone using (id)
           join credential_projects l on l.credential_id = made.id where made.owner_id <> gone.owner_id`,
         'key share'
       )}
       ${mark('select owner_id from made union all select owner_id from gone')}
       ${count(`${made} union all ${gone}`)}
     end if;`
  ),
  `drop trigger credentials_counted_move on credentials`,
  `drop function move_credentials`,
  `create trigger credentials_counted_update after update on credentials
    referencing old table as gone new table as made for each statement execute function count_credentials()`,

  // Environments and values have none: with them the credential's revision changes.
  trigger(
    'mark_by_credential',
    settled('credentials', 'select credential_id from changed', 'share') +
      mark('select c.owner_id from changed join credentials c on c.id = changed.credential_id')
  ),
  ...['credential_projects', 'credential_usages'].flatMap((table) => [
    on('insert', table, 'new table as changed', 'mark_by_credential'),
    on('delete', table, 'old table as changed', 'mark_by_credential')
  ]),

  // Who sees a project of theirs with a credential, is a member of it.
  // Who is being deleted needs no mark.
  trigger(
    'mark_by_member',
    settled('users', 'select user_id from changed', 'key share') +
      mark('select u.id as owner_id from changed join users u on u.id = changed.user_id')
  ),
  on('insert', 'project_members', 'new table as changed', 'mark_by_member'),
  on('delete', 'project_members', 'old table as changed', 'mark_by_member'),

  trigger(
    'mark_by_project',
    settled('projects', changed('name'), 'update') +
      mark(`select c.owner_id from credential_projects l
        join credentials c on c.id = l.credential_id
        where l.project_id in (${changed('name')})`)
  ),
  on('update', 'projects', 'old table as gone new table as made', 'mark_by_project'),

  trigger(
    'mark_by_type',
    settled('credential_types', changed('type_name', 'revision'), 'update') +
      mark(`select owner_id from credential_totals where type_id in (${changed('type_name', 'revision')})`)
  ),
  on('update', 'credential_types', 'old table as gone new table as made', 'mark_by_type')
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
