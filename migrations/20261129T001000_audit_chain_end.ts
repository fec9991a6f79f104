import { type Kysely, sql } from 'kysely'

// The links of the events in the first partition.
export async function up(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{ end: string }>`
    select substring(pg_get_constraintdef(oid), '[0-9a-f]{8}-[0-9a-f-]{27}') as end
    from pg_constraint where conrelid = 'audit_events'::regclass and conname = 'audit_events_end'`.execute(db)
  const check = `check (event_id < '${rows[0]!.end}')`
  await sql.raw(`alter table audit_chain add constraint audit_chain_end ${check} not valid`).execute(db)
}
