import { type Kysely, sql } from 'kysely'

// Sign-in finds a user by the hash of what was typed, which may be a password: it must not be in a log of
// statements. Letters are folded as bytes, so that the hash does not depend on the database's locale.
const statements = [
  `create function email_hash(email text) returns bytea language sql immutable strict parallel safe
    as $$ select sha256(convert_to(lower(email collate "C"), 'UTF8')) $$`,
  `create index users_email_hash on users (email_hash(email))`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
