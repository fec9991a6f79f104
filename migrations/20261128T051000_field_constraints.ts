import { type Kysely, sql } from 'kysely'

// json keeps the text of a default, and so its numbers; jsonb turns -0 into 0.
const statements = [
  `alter table credential_type_fields
    alter column default_value type json using default_value::json,
    add column constraints jsonb`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
