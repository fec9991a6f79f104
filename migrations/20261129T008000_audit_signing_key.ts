import { type Kysely, sql } from 'kysely'

// The key that signs the heads of exported parts of the log. At most one row.
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table audit_signing_key (
    id boolean primary key default true check (id),
    sealed bytea not null,
    data_key_no integer not null references data_keys (number),
    created_at timestamptz not null default now()
  )`.execute(db)
  await sql`create index audit_signing_key_data_key on audit_signing_key (data_key_no)`.execute(db)
}
