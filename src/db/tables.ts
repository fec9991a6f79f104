import type { ColumnType, Generated, Selectable } from 'kysely'

/** Optional on insert, and never updated. */
type CreatedAt = ColumnType<Date, Date | undefined, never>
type Json<T> = ColumnType<T, string | null, string | null>

export const USER_ROLES = ['admin', 'user'] as const
export type UserRole = (typeof USER_ROLES)[number]

export const PROJECT_ROLES = ['owner', 'admin', 'editor', 'viewer'] as const
export type ProjectRole = (typeof PROJECT_ROLES)[number]

export const FIELD_TYPES = [
  'text',
  'password',
  'multiline',
  'number',
  'boolean',
  'url',
  'email',
  'select',
  'json'
] as const
export type FieldType = (typeof FIELD_TYPES)[number]

export const JSON_SHAPES = ['object', 'object-or-text'] as const
export type JsonShape = (typeof JSON_SHAPES)[number]

/** A row of a table as selected, with only these columns. */
export type Row<Table extends keyof Tables, Column extends keyof Selectable<Tables[Table]>> = Pick<
  Selectable<Tables[Table]>,
  Column
>

/** Rules for the values of a field. Each property applies to one type of field. */
export interface FieldConstraints {
  /** The smallest number, inclusive. */
  minimum?: number
  /** The largest number, inclusive. */
  maximum?: number
  /** True if only whole numbers are valid. */
  integer?: boolean
  /** The schemes that a URL may have, in lower case. Default: http and https. */
  schemes?: string[]
  /** `object` requires an object; `object-or-text` also accepts a string that contains one. */
  shape?: JsonShape
}

interface AuditEvents {
  id: string
  occurred_at: CreatedAt
  action: string
  outcome: 'allowed' | 'denied'
  actor_type: string
  actor_id: string | null
  actor_name: string | null
  target_type: string | null
  target_id: string | null
  target_name: string | null
  owner_id: string | null
  project_id: string | null
  ip: string | null
  user_agent: string | null
  request_id: string | null
  details: Json<Record<string, unknown>>
  count: Generated<number>
  fold_key: string | null
}

interface AuditLinks {
  position: number
  event_id: string
  hash: Buffer
}

export interface Tables {
  users: {
    id: string
    email: string
    name: string
    name_key: string
    password_hash: string
    role: UserRole
    disabled_at: Date | null
    created_at: CreatedAt
    updated_at: Generated<Date>
  }
  sessions: {
    id: string
    token_hash: Buffer
    user_id: string
    ip: string
    user_agent: string | null
    created_at: CreatedAt
    last_seen_at: Generated<Date>
    expires_at: Date
  }
  access_tokens: {
    id: string
    token_hash: Buffer
    name: string
    scopes: string[]
    user_id: string | null
    project_id: string | null
    created_by: string | null
    expires_at: Date | null
    last_used_at: Date | null
    revoked_at: Date | null
    created_at: CreatedAt
  }
  /** Partitioned by id. The first partition has the name `audit_events`, which version 1.0.0 uses. */
  audit_log: AuditEvents
  audit_events: AuditEvents
  /** The hash chain, partitioned as the events are. The first partition is `audit_chain`. */
  audit_links: AuditLinks
  audit_chain: AuditLinks
  audit_unsealed: {
    event_id: string
    settled_at: Date
  }
  /** Counts denials that are alike, by the minute. A trigger counts the event too. */
  audit_folds: {
    minute: number
    key: string
    event_id: string
    count: Generated<number>
  }
  /** The ends of exported parts of the chain, which may be dropped. */
  audit_heads: {
    position: number
    hash: Buffer
    /** The signed bytes, JSON text. */
    head: Buffer
    signature: Buffer
    created_at: CreatedAt
  }
  audit_signing_key: {
    id: Generated<boolean>
    sealed: Buffer
    data_key_no: number
    created_at: CreatedAt
  }
  login_failures: {
    id: string
    account: Buffer
    address: string
    at: Generated<Date>
  }
  projects: {
    id: string
    name: string
    name_key: string
    description: string | null
    created_at: CreatedAt
    updated_at: Generated<Date>
  }
  project_members: {
    project_id: string
    user_id: string
    role: ProjectRole
    /** The key of the project's name, if the user holds it. An owner holds a name once. */
    held_name_key: string | null
    created_at: CreatedAt
  }
  credential_types: {
    id: string
    type_name: string
    name_key: string
    description: string | null
    owner_id: string | null
    /** True if the owner got it from a deleted user and has not changed it since. */
    adopted: Generated<boolean>
    revision: Generated<number>
    created_at: CreatedAt
    updated_at: Generated<Date>
  }
  credential_type_fields: {
    id: string
    type_id: string
    field_name: string
    field_label: string
    field_type: FieldType
    required: boolean
    secret: boolean
    description: string | null
    /** JSON text. The column has the type json; reading it as text keeps its numbers. */
    default_value: string | null
    options: string[] | null
    pattern: string | null
    constraints: Json<FieldConstraints | null>
    position: number
  }
  data_keys: {
    number: number
    wrapped: Buffer
    root_key_fingerprint: string
    created_at: CreatedAt
    retired_at: Date | null
  }
  credentials: {
    id: string
    owner_id: string
    type_id: string
    name: string
    name_key: string
    description: string | null
    external_id: string | null
    /** The schema that a Lightning client named, if the service has no type of that name. */
    lightning_schema: string | null
    revision: Generated<number>
    sealed_revision: Generated<number>
    expires_at: Date | null
    created_at: CreatedAt
    updated_at: Generated<Date>
  }
  credential_environments: {
    credential_id: string
    name: string
    created_at: CreatedAt
  }
  credential_keys: {
    credential_id: string
    environment: string
    field_id: string
    value: Buffer
    data_key_no: number
  }
  credential_projects: {
    id: string
    credential_id: string
    project_id: string
    assigned_by: string | null
    created_at: CreatedAt
  }
  /** Maintained by triggers. A total is the sum of its parts, so concurrent writes lock different rows. */
  credential_totals: {
    owner_id: string
    type_id: string
    part: number
    total: number
  }
  credential_usages: {
    credential_id: string
    consumer: string
    project_id: string | null
    created_at: CreatedAt
  }
  idempotency_keys: {
    principal: string
    key: string
    answer: Buffer | null
    data_key_no: number | null
    expires_at: Date
  }
}
