import { type Kysely, sql } from 'kysely'

// A credential of Lightning whose schema is no credential type becomes `raw`. This is the schema's name.
const statements = [
  'alter table credentials add lightning_schema text collate "C"',
  // Every row is null, so none has to be read.
  `alter table credentials add constraint credentials_lightning_schema_check
    check (char_length(lightning_schema) between 1 and 200) not valid`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
