import { type Kysely, sql } from 'kysely'

/**
 * Counts and marks what these rows (`owner_id`, `type_id`, `number`) name: the writer's own part, one row after the other
 * in one order for all, until its transaction ends.
 */
const mark = (rows: string) => `insert into credential_totals as t (owner_id, type_id, part, total, mark)
  select owner_id, type_id, pg_backend_pid() % 8, sum(number), random() * 9e15
    from (${rows}) changed group by owner_id, type_id order by owner_id, type_id
  on conflict (owner_id, type_id, part) do update set total = t.total + excluded.total, mark = excluded.mark`

const trigger = (name: string, body: string) =>
  `create or replace function ${name}() returns trigger language plpgsql as $$ begin ${body} return null; end $$`

const on = (event: string, table: string, rows: string, execute: string) =>
  `create trigger ${table}_marked_${event} after ${event} on ${table}
    referencing ${rows} for each statement execute function ${execute}()`

const counted = (number: number, rows: string) => `select owner_id, type_id, ${number} as number from ${rows}`

const statements = [
  // A random number, another whenever something changes that a list of the owner's shows of credentials of the type. All
  // marks of an owner together are never again what they were.
  `alter table credential_totals add column mark bigint not null default 0`,

  trigger(
    'count_credentials',
    `if tg_op = 'INSERT' then ${mark(counted(1, 'made'))};
     elsif tg_op = 'DELETE' then ${mark(counted(-1, 'gone'))};
     else ${mark(`${counted(1, 'made')} union all ${counted(-1, 'gone')}`)};
     end if;`
  ),
  `drop trigger credentials_counted_move on credentials`,
  `drop function move_credentials`,
  `create trigger credentials_counted_update after update on credentials
    referencing old table as gone new table as made for each statement execute function count_credentials()`,

  // Environments and values have none: with them the credential's revision changes.
  trigger(
    'mark_by_credential',
    `${mark(`select c.owner_id, c.type_id, 0 as number from changed
      join credentials c on c.id = changed.credential_id`)};`
  ),
  ...['credential_projects', 'credential_usages'].flatMap((table) => [
    on('insert', table, 'new table as changed', 'mark_by_credential'),
    on('delete', table, 'old table as changed', 'mark_by_credential')
  ]),

  // Who sees a project of theirs with a credential, is a member of it.
  trigger(
    'mark_by_member',
    `${mark(`select c.owner_id, c.type_id, 0 as number from changed
      join credential_totals c on c.owner_id = changed.user_id`)};`
  ),
  on('insert', 'project_members', 'new table as changed', 'mark_by_member'),
  on('delete', 'project_members', 'old table as changed', 'mark_by_member'),

  trigger(
    'mark_by_project',
    `${mark(`select c.owner_id, c.type_id, 0 as number from changed
      join credential_projects l on l.project_id = changed.id
      join credentials c on c.id = l.credential_id`)};`
  ),
  on('update', 'projects', 'new table as changed', 'mark_by_project'),

  trigger(
    'mark_by_type',
    `${mark(`select c.owner_id, c.type_id, 0 as number from changed
      join credential_totals c on c.type_id = changed.id`)};`
  ),
  on('update', 'credential_types', 'new table as changed', 'mark_by_type')
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
