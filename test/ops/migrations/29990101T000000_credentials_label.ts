import { type Kysely, sql } from 'kysely'

// Adds a column to a table that every request reads.
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table credentials add label text collate "C"`.execute(db)
}
