import { type SqlBool, sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import { type Params, prepared } from '../../db/statement.ts'
import { insertEvents } from '../../plugins/audit.ts'
import { projectsAsJson } from './repository.ts'
import type { SealedKeys } from './sealing.ts'

export interface NewCredentialRow extends SealedKeys {
  id: string
  ownerId: string
  typeId: string
  typeRevision: number
  name: string
  description: string | null
  externalId: string | null
  expiresAt: Date | null
  environmentNames: string[]
  projectIds: string[]
  linkIds: string[]
  /** Of audit events, as `insertEvents` takes them. */
  events: string
}

const sealedRows = (p: Params<SealedKeys>) =>
  sql`unnest(${p.environments}::text[], ${p.fieldIds}::uuid[], ${p.values}::bytea[])`

const insertWhole = prepared((db, p: Params<NewCredentialRow>) =>
  db
    .with('type', (q) =>
      q
        .selectFrom('credential_types')
        .where('id', '=', p.typeId)
        .where('revision', '=', p.typeRevision)
        .select(['id', 'type_name'])
        .forKeyShare()
    )
    .with('allowed', (q) =>
      q
        .selectFrom('project_members')
        .where('user_id', '=', p.ownerId)
        .where('role', 'in', [sql.lit('owner'), sql.lit('admin'), sql.lit('editor')] as never)
        .where(sql<SqlBool>`project_id = any(${p.projectIds}::uuid[])`)
        .select('project_id')
    )
    .with('made', (q) =>
      q
        .insertInto('credentials')
        .columns(['id', 'owner_id', 'type_id', 'name', 'description', 'external_id', 'expires_at'])
        .expression((eb) =>
          eb
            .selectFrom('type')
            .where(sql<SqlBool>`(select count(*) from allowed) = cardinality(${p.projectIds}::uuid[])`)
            .select([
              sql<string>`${p.id}::uuid`.as('id'),
              sql<string>`${p.ownerId}::uuid`.as('owner_id'),
              'type.id as type_id',
              sql<string>`${p.name}::text`.as('name'),
              sql<string | null>`${p.description}::text`.as('description'),
              sql<string | null>`${p.externalId}::text`.as('external_id'),
              sql<Date | null>`${p.expiresAt}::timestamptz`.as('expires_at')
            ])
        )
        .returning(['id', 'revision', 'sealed_revision', 'created_at', 'updated_at'])
    )
    .with('environment', (q) =>
      q
        .insertInto('credential_environments')
        .columns(['credential_id', 'name'])
        .expression((eb) =>
          eb
            .selectFrom('made')
            .select(['made.id', sql<string>`unnest(${p.environmentNames}::text[])`.as('name')])
        )
    )
    .with('key', (q) =>
      q
        .insertInto('credential_keys')
        .columns(['credential_id', 'environment', 'field_id', 'value', 'data_key_no'])
        .expression((eb) =>
          eb
            .selectFrom([
              'made',
              sql<{ environment: string; field_id: string; value: Buffer }>`${sealedRows(p)}`.as<'k'>(
                sql`k(environment, field_id, value)`
              )
            ])
            .select([
              'made.id',
              'k.environment',
              'k.field_id',
              'k.value',
              sql<number>`${p.dataKeyNo}::int`.as('data_key_no')
            ])
        )
    )
    .with('link', (q) =>
      q
        .insertInto('credential_projects')
        .columns(['id', 'credential_id', 'project_id', 'assigned_by'])
        .expression((eb) =>
          eb
            .selectFrom([
              'made',
              sql<{
                id: string
                project_id: string
              }>`unnest(${p.linkIds}::uuid[], ${p.projectIds}::uuid[])`.as<'l'>(sql`l(id, project_id)`)
            ])
            .select([
              'l.id',
              'made.id as credential_id',
              'l.project_id',
              sql<string>`${p.ownerId}::uuid`.as('assigned_by')
            ])
        )
    )
    .with('recorded', (q) => insertEvents(q as never, p.events, 'made'))
    .selectFrom(['made', 'type'])
    .select(['made.revision', 'made.sealed_revision', 'made.created_at', 'made.updated_at', 'type.type_name'])
    .select(projectsAsJson(sql`projects p where p.id = any(${p.projectIds}::uuid[])`).as('projects'))
)

/**
 * Inserts a credential with its environments, values, links and audit events in one statement. Gives undefined, with nothing
 * inserted, when the type is not at that revision (any more), or the owner may not link to one of the projects.
 */
export async function insertCredential(db: Database, values: NewCredentialRow) {
  const [row] = await insertWhole(db, values)
  return row
}
