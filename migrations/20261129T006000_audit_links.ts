import { type Kysely, sql } from 'kysely'

// The chain in partitions as the events are, so that its links are dropped with their events. A position is
// unique in a partition.
const statements = [
  `create table audit_links (
    position bigint not null constraint audit_chain_position_check check (position > 0),
    event_id uuid not null unique,
    hash bytea not null constraint audit_chain_hash_check check (octet_length(hash) = 32)
  ) partition by range (event_id)`,
  `create trigger audit_links_fixed before update or delete on audit_links
    for each row execute function audit_links_fixed()`,
  `create trigger audit_links_no_truncate before truncate on audit_links
    for each statement execute function audit_events_append_only()`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
  const { rows } = await sql<{ end: string }>`
    select substring(pg_get_constraintdef(oid), '[0-9a-f]{8}-[0-9a-f-]{27}') as end
    from pg_constraint where conrelid = 'audit_chain'::regclass and conname = 'audit_chain_end'`.execute(db)
  const end = rows[0]!.end
  await sql
    .raw(`alter table audit_links attach partition audit_chain for values from (minvalue) to ('${end}')`)
    .execute(db)
}
