import { type Kysely, sql } from 'kysely'

const statements = [
  `create table users (
    id uuid primary key,
    email text not null check (char_length(email) between 3 and 320),
    name text not null check (char_length(name) between 1 and 200),
    password_hash text not null,
    role text not null check (role in ('admin', 'user')),
    disabled_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  )`,
  `create unique index users_email_key on users (lower(email))`,
  `create index users_listed on users (created_at desc, id desc)`,

  `create table sessions (
    id uuid primary key,
    token_hash bytea not null unique check (octet_length(token_hash) = 32),
    user_id uuid not null references users on delete cascade,
    ip text not null,
    user_agent text,
    created_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    expires_at timestamptz not null
  )`,
  `create index sessions_user on sessions (user_id)`,
  `create index sessions_expiry on sessions (expires_at)`,

  // Account and address as SHA-256: what somebody typed as an e-mail may be something else.
  `create table login_failures (
    id uuid primary key,
    account bytea not null,
    address text not null,
    at timestamptz not null default now()
  )`,
  `create index login_failures_account on login_failures (account, at)`,
  `create index login_failures_address on login_failures (address, at)`,
  `create index login_failures_at on login_failures (at)`,

  `create table projects (
    id uuid primary key,
    name text not null check (char_length(name) between 1 and 200),
    description text check (char_length(description) <= 2000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  )`,
  `create table project_members (
    project_id uuid not null references projects on delete cascade,
    user_id uuid not null references users on delete cascade,
    role text not null check (role in ('owner', 'admin', 'editor', 'viewer')),
    created_at timestamptz not null default now(),
    primary key (project_id, user_id)
  )`,
  `create index project_members_user on project_members (user_id)`,

  // No owner: built in.
  `create table credential_types (
    id uuid primary key,
    type_name text not null check (char_length(type_name) between 1 and 200),
    description text check (char_length(description) <= 2000),
    owner_id uuid references users,
    revision integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  )`,
  `create unique index credential_types_name_key on credential_types (lower(type_name))`,
  `create index credential_types_owner on credential_types (owner_id)`,
  `create index credential_types_listed on credential_types (created_at desc, id desc)`,
  `create table credential_type_fields (
    id uuid primary key,
    type_id uuid not null references credential_types on delete cascade,
    field_name text not null check (field_name ~ '^[a-zA-Z][a-zA-Z0-9_]{0,63}$'),
    field_label text not null check (char_length(field_label) between 1 and 200),
    field_type text not null check (field_type in
      ('text', 'password', 'multiline', 'number', 'boolean', 'url', 'email', 'select', 'json')),
    required boolean not null,
    secret boolean not null,
    description text check (char_length(description) <= 2000),
    default_value jsonb,
    options text[],
    pattern text,
    position integer not null,
    -- Deferrable, so that two fields may swap their names in one change.
    unique (type_id, field_name) deferrable initially immediate
  )`,

  `create table data_keys (
    number integer primary key check (number > 0),
    wrapped bytea not null,
    root_key_fingerprint text not null,
    created_at timestamptz not null default now(),
    retired_at timestamptz
  )`,
  `create unique index data_keys_one_current on data_keys ((true)) where retired_at is null`,

  `create table credentials (
    id uuid primary key,
    owner_id uuid not null references users,
    type_id uuid not null references credential_types,
    name text not null check (char_length(name) between 1 and 200),
    description text check (char_length(description) <= 2000),
    external_id text check (char_length(external_id) <= 200),
    revision integer not null default 1,
    sealed_revision integer not null default 1,
    expires_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  )`,
  `create unique index credentials_name_key on credentials (owner_id, lower(name))`,
  `create unique index credentials_external_id_key on credentials (owner_id, external_id)`,
  `create index credentials_listed on credentials (owner_id, created_at desc, id desc)`,
  `create index credentials_listed_by_type on credentials (owner_id, type_id, created_at desc, id desc)`,
  `create index credentials_type on credentials (type_id)`,

  `create table credential_environments (
    credential_id uuid not null references credentials on delete cascade,
    name text not null check (name ~ '^[a-z0-9][a-z0-9_-]{0,31}$'),
    created_at timestamptz not null default now(),
    primary key (credential_id, name)
  )`,
  `create table credential_keys (
    credential_id uuid not null,
    environment text not null,
    field_id uuid not null references credential_type_fields,
    value bytea not null,
    data_key_no integer not null references data_keys,
    primary key (credential_id, environment, field_id),
    foreign key (credential_id, environment) references credential_environments on delete cascade
  )`,
  `create index credential_keys_field on credential_keys (field_id)`,
  `create index credential_keys_data_key on credential_keys (data_key_no)`,

  `create table credential_projects (
    id uuid not null unique,
    credential_id uuid not null references credentials on delete cascade,
    project_id uuid not null references projects on delete cascade,
    assigned_by uuid references users on delete set null,
    created_at timestamptz not null default now(),
    primary key (credential_id, project_id)
  )`,
  `create index credential_projects_project on credential_projects (project_id)`,
  `create index credential_projects_assigned_by on credential_projects (assigned_by)`,

  // No cascade from credentials: a usage is what keeps its credential from being deleted.
  `create table credential_usages (
    credential_id uuid not null references credentials,
    consumer text not null check (char_length(consumer) between 1 and 200),
    project_id uuid references projects on delete cascade,
    created_at timestamptz not null default now(),
    -- Each project's machines register for themselves, and so does the owner, for no project.
    unique nulls not distinct (credential_id, consumer, project_id)
  )`,
  `create index credential_usages_project on credential_usages (project_id)`,

  `create table idempotency_keys (
    principal text not null,
    key text not null,
    answer bytea,
    data_key_no integer references data_keys,
    expires_at timestamptz not null,
    primary key (principal, key)
  )`,
  `create index idempotency_keys_expiry on idempotency_keys (expires_at)`,
  `create index idempotency_keys_data_key on idempotency_keys (data_key_no)`
]

// Trigram search where the server has the extension and lets us create it; without it search is a scan.
const trigrams = `do $$ begin
  create extension if not exists pg_trgm;
  create index credentials_name_trigrams on credentials using gin (name gin_trgm_ops);
exception when others then
  raise notice 'no pg_trgm: searching by name will scan';
end $$`

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [...statements, trigrams]) await sql.raw(statement).execute(db)
}
