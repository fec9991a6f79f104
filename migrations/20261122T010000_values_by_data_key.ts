import { type Kysely, sql } from 'kysely'

const statements = [
  // For walking through the credentials under one data key in their order; it stands in for the index on the key alone.
  `create index credential_keys_under_data_key on credential_keys (data_key_no, credential_id)`,
  `drop index credential_keys_data_key`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
