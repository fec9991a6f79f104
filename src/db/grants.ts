import { sql } from 'kysely'
import type { Database, Transaction } from './database.ts'
import type { Tables } from './tables.ts'

const ALL = 'select, insert, update, delete'

/**
 * The rights of the service's role on each table. On the audit log, the role can only insert events and links
 * of the chain, and count denials. Triggers write to `audit_unsealed` and the log with the rights of their
 * owner. The role has no rights on the partitions but those of version 1.0.0 on the first ones.
 */
export const GRANTS: Readonly<
  Record<keyof Tables | 'audit_partitions' | 'kysely_migration' | 'schema_migrations', string>
> = {
  users: ALL,
  sessions: ALL,
  access_tokens: 'select, insert, update',
  login_failures: 'select, insert, delete',
  audit_log: 'select, insert',
  audit_links: 'select, insert',
  audit_unsealed: 'select, delete',
  audit_folds: 'select, insert, delete, update (count)',
  audit_heads: 'select',
  audit_signing_key: 'select, update',
  audit_partitions: 'select',
  // The first partitions of the log and its chain, for version 1.0.0.
  audit_events: 'select, insert, update (count)',
  audit_chain: 'select, insert',
  projects: ALL,
  project_members: ALL,
  credential_types: ALL,
  credential_type_fields: ALL,
  data_keys: ALL,
  credentials: ALL,
  credential_environments: 'select, insert, delete',
  credential_keys: ALL,
  credential_projects: ALL,
  credential_totals: 'select, insert, update',
  credential_usages: 'select, insert, delete',
  idempotency_keys: ALL,
  // With these, a start as this role sees that no migration is pending.
  kysely_migration: 'select',
  schema_migrations: 'select'
}

const TABLES = Object.keys(GRANTS)

/**
 * As the owner of the tables, grants `role` exactly these rights on the existing tables. Throws if the role
 * has more rights in another way, such as to change the tables or the audit log. Without `revoke`, the role
 * keeps the rights that a later version has granted.
 */
export async function grantTo(trx: Transaction, role: string, { revoke = true } = {}): Promise<void> {
  const { rows } = await sql<{
    database: string
    schema: string
    exists: boolean
    owns: boolean
    tables: string[]
    extendable: boolean
  }>`
    select current_database() as database, current_schema() as schema,
      exists (select from pg_roles where rolname = ${role}) as exists,
      not exists (select from unnest(${TABLES}::text[]) name join pg_class c on c.oid = to_regclass(name)
        where not pg_has_role(c.relowner, 'usage')) as owns,
      array(select name from unnest(${TABLES}::text[]) name
        where to_regclass(name) is not null) as tables,
      to_regproc('audit_extend') is not null as extendable`.execute(trx)
  const { database, schema, exists, owns, tables, extendable } = rows[0]!
  if (!exists) throw new Error(`there is no database role "${role}"`)
  // Postgres only warns if a role grants rights that it cannot grant.
  if (!owns) throw new Error(`only the owner of the tables can grant "${role}" its rights`)
  const to = sql.id(role)
  const statements = [
    // A temporary table could shadow one of the tables.
    sql`revoke temporary on database ${sql.id(database)} from public`,
    sql`revoke create on schema ${sql.id(schema)} from public`,
    sql`grant connect on database ${sql.id(database)} to ${to}`,
    sql`grant usage on schema ${sql.id(schema)} to ${to}`,
    ...Object.entries(GRANTS).flatMap(([table, rights]) =>
      tables.includes(table)
        ? [
            ...(revoke ? [sql`revoke all on ${sql.table(table)} from ${to}`] : []),
            sql`grant ${sql.raw(rights)} on ${sql.table(table)} to ${to}`
          ]
        : []
    ),
    ...(extendable ? [sql`grant execute on function audit_extend to ${to}`] : [])
  ]
  for (const statement of statements) await statement.execute(trx)
  const excess = await findExcess(trx, role)
  if (excess)
    throw new Error(`the database role "${role}" has too many rights to serve requests: it ${excess}`)
}

/** Returns a right that the role must not have, or undefined. */
async function findExcess(trx: Transaction, role: string): Promise<string | undefined> {
  const { rows } = await sql<{ excess: string }>`
    select excess from pg_roles r, lateral (values
      (1, r.rolsuper, 'is a superuser'),
      (2, r.rolcreaterole, 'can create roles'),
      (3, exists (
        select from unnest(${TABLES}::text[]) name join pg_class c on c.oid = to_regclass(name)
          where pg_has_role(r.oid, c.relowner, 'member')),
        'owns the tables, or is a member of the role that does'),
      (4, exists (
        select from unnest(array['audit_log', 'audit_links', 'audit_heads', 'audit_events',
            'audit_chain']) name
          left join pg_inherits on inhparent = to_regclass(name)
          cross join lateral unnest(array[to_regclass(name), inhrelid]) one
          where has_table_privilege(r.oid, one, 'update, delete, truncate, trigger')),
        'can change the audit log'),
      (5, has_schema_privilege(r.oid, current_schema(), 'create'), 'can create tables in the schema'),
      (6, has_database_privilege(r.oid, current_database(), 'create, temporary'),
        'can create schemas or temporary tables in the database'),
      (7, has_parameter_privilege(r.oid, 'session_replication_role', 'set'), 'can disable triggers')
    ) as rights(rank, held, excess)
    where r.rolname = ${role} and held order by rank limit 1`.execute(trx)
  return rows[0]?.excess
}

/** Returns the role and the database of a connection. */
export async function currentRole(db: Database): Promise<{ role: string; database: string }> {
  const { rows } = await sql<{ role: string; database: string }>`
    select current_user as role, current_database() as database`.execute(db)
  return rows[0]!
}
