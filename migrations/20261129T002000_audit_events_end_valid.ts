import { type Kysely, sql } from 'kysely'

// Reads all events, and blocks nobody.
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table audit_events validate constraint audit_events_end`.execute(db)
}
