import { type Kysely, sql } from 'kysely'

// A type whose owner was deleted becomes an administrator's. Nobody finds it by its name until it is changed:
// its fields are still those that the deleted user chose.
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table credential_types add column adopted boolean not null default false`.execute(db)
}
