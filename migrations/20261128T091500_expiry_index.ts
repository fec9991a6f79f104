import { type Kysely, sql } from 'kysely'

// Lists of what expires until a time, and lists in the order of expiry. What never expires comes last.
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index credentials_expiry
    on credentials (owner_id, (coalesce(expires_at, 'infinity'::timestamptz)), id)`.execute(db)
}
