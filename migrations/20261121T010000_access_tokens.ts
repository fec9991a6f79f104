import { type Kysely, sql } from 'kysely'

const statements = [
  `create table access_tokens (
    id uuid primary key,
    token_hash bytea not null unique check (octet_length(token_hash) = 32),
    name text not null check (char_length(name) between 1 and 200),
    scopes text[] not null check (cardinality(scopes) > 0),
    user_id uuid references users on delete cascade,
    project_id uuid references projects on delete cascade,
    created_by uuid references users on delete set null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz not null default now(),
    -- A token is one person's or one project's.
    check (num_nonnulls(user_id, project_id) = 1)
  )`,
  `create index access_tokens_user on access_tokens (user_id, created_at desc)`,
  `create index access_tokens_project on access_tokens (project_id, created_at desc)`,
  `create index access_tokens_created_by on access_tokens (created_by)`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
