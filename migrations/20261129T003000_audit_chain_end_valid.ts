import { type Kysely, sql } from 'kysely'

// Reads all links, and blocks nobody.
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table audit_chain validate constraint audit_chain_end`.execute(db)
}
