import { type Kysely, sql } from 'kysely'

// The role that serves requests adds events, and has no right to write to the list of unsealed ones or to
// lock its rows: these two functions of triggers do it with the rights of the tables' owner.
const statements = [
  `alter function audit_events_unsealed() rename to audit_unsealed_add`,
  `do $$
  declare name text;
  begin
    foreach name in array array['audit_unsealed_add', 'audit_events_append_only'] loop
      execute format('alter function %I() security definer set search_path = %I, pg_temp',
        name, current_schema());
    end loop;
  end $$`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
