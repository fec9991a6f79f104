import { type Kysely, sql } from 'kysely'

// Most credentials have no external id, most events no project, no key to be folded by and, when they are written, no
// place in the chain: an index has an entry for each all the same, unless it says that it needs none.
const statements = [
  `drop index credentials_external_id_key`,
  `create unique index credentials_external_id_key on credentials (owner_id, external_id)
    where external_id is not null`,
  `alter table audit_events drop constraint audit_events_fold_key_key`,
  `create unique index audit_events_fold_key_key on audit_events (fold_key) where fold_key is not null`,
  `alter table audit_events drop constraint audit_events_position_key`,
  `create unique index audit_events_position_key on audit_events (position) where position is not null`,
  `drop index audit_events_project`,
  `create index audit_events_project on audit_events (project_id, id desc) where project_id is not null`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
