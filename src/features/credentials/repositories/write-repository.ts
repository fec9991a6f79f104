import { type Expression, type Kysely, type SqlBool, sql } from 'kysely'
import { insertEvents } from '../../../audit/event-repository.ts'
import { rolesAtLeast } from '../../../auth/roles.ts'
import type { Database, Transaction } from '../../../db/database.ts'
import { type Params, prepared } from '../../../db/prepared.ts'
import type { Tables } from '../../../db/tables.ts'
import type { SealedValues } from '../sealing.ts'

/**
 * Projects that the write links the credential to. Whoever changes them waits until it is done, or it for
 * them.
 */
const lockedProjects = (db: Kysely<Tables>, ids: Expression<readonly string[]>) =>
  db
    .selectFrom('projects')
    .where(sql<boolean>`id = any(${ids}::uuid[])`)
    .select(['id', 'name'])
    .orderBy('id')
    .forKeyShare()

/**
 * The type, if its fields are still those that the values were checked by. It stays so until the write is
 * done.
 */
const lockedType = (db: Kysely<Tables>, p: Params<{ typeId: string; typeRevision: number }>) =>
  db
    .selectFrom('credential_types')
    .where('id', '=', p.typeId)
    .where('revision', '=', p.typeRevision)
    .select(['id', 'type_name'])
    .forKeyShare()

const linkingRoles = sql.join(rolesAtLeast('editor').map((role) => sql.lit(role)))

/** True if the user may link credentials to all of `linking`. */
const mayLink = (userId: Expression<string>, ids: Expression<readonly string[]>) =>
  sql<SqlBool>`cardinality(${ids}::uuid[]) = (select count(*) from linking p
    join project_members m on m.project_id = p.id
    where m.user_id = ${userId} and m.role in (${linkingRoles}))`

const insertLinks = (
  db: Kysely<Tables>,
  from: string,
  p: Params<Pick<Writing, 'linkIds' | 'linkedProjectIds' | 'ownerId'>>
) =>
  db
    .insertInto('credential_projects')
    .columns(['id', 'credential_id', 'project_id', 'assigned_by'])
    .expression(
      sql<never>`select l.id, ${sql.ref(from)}.id, l.project_id, ${p.ownerId} from ${sql.ref(from)},
        unnest(${p.linkIds}::uuid[], ${p.linkedProjectIds}::uuid[]) l(id, project_id)` as never
    )

const sealedRows = (
  from: string,
  p: Params<SealedValues>
) => sql<never>`select ${sql.ref(from)}.id, k.environment, k.field_id, k.value, ${p.dataKeyNo}::int
  from ${sql.ref(from)}, unnest(${p.environments}::text[], ${p.fieldIds}::uuid[], ${p.values}::bytea[])
    k(environment, field_id, value)`

interface Writing extends SealedValues {
  id: string
  ownerId: string
  typeId: string
  typeRevision: number
  name: string
  description: string | null
  expiresAt: Date | null
  environmentNames: readonly string[]
  /** The ids of new links, and of their projects, in the same order. */
  linkIds: readonly string[]
  linkedProjectIds: readonly string[]
  /** Audit events, as JSON for `insertEvents`. */
  events: string
}

export interface CredentialInsert extends Writing {
  externalId: string | null
}

const insert = prepared((db, p: Params<CredentialInsert>) =>
  db
    .with('type', () => lockedType(db, p))
    .with('linking', () => lockedProjects(db, p.linkedProjectIds))
    .with('made', (q) =>
      q
        .insertInto('credentials')
        .columns(['id', 'owner_id', 'type_id', 'name', 'description', 'external_id', 'expires_at'])
        .expression((eb) =>
          eb
            .selectFrom('type')
            .where(mayLink(p.ownerId, p.linkedProjectIds))
            .select([
              sql<string>`${p.id}::uuid`.as('id'),
              sql<string>`${p.ownerId}::uuid`.as('owner_id'),
              'type.id as type_id',
              sql<string>`${p.name}::text`.as('name'),
              sql<string>`${p.description}::text`.as('description'),
              sql<string>`${p.externalId}::text`.as('external_id'),
              sql<Date>`${p.expiresAt}::timestamptz`.as('expires_at')
            ])
        )
        .returning(['id', 'revision', 'sealed_revision', 'created_at', 'updated_at'])
    )
    .with('environment', (q) =>
      q
        .insertInto('credential_environments')
        .columns(['credential_id', 'name'])
        .expression((eb) =>
          eb.selectFrom('made').select(['id', sql<string>`unnest(${p.environmentNames}::text[])`.as('name')])
        )
    )
    .with('value', (q) =>
      q
        .insertInto('credential_keys')
        .columns(['credential_id', 'environment', 'field_id', 'value', 'data_key_no'])
        .expression(sealedRows('made', p) as never)
    )
    .with('link', () => insertLinks(db, 'made', p))
    .with('recorded', () => insertEvents(db, p.events, sql`made`))
    .selectFrom(['made', 'type'])
    .select(['type.type_name', 'made.revision', 'made.sealed_revision', 'made.created_at', 'made.updated_at'])
    .select(
      sql<
        { id: string; name: string }[]
      >`(select coalesce(json_agg(json_build_object('id', p.id, 'name', p.name)
        order by p.name, p.id), '[]') from linking p)`.as('projects')
    )
)

/**
 * Inserts a credential with its environments, values, links and audit events, in one statement. Returns
 * undefined and inserts nothing if the type is no longer at that revision, or the owner may not link to one
 * of the projects.
 */
export async function insertCredential(db: Database, input: CredentialInsert) {
  const [row] = await insert(db, input)
  return row
}

export interface CredentialUpdate extends Writing {
  /** The revision that the change starts from. */
  revision: number
  sealedRevision: number
  /** False if values, environments and sealed revision stay as they are. */
  changesValues: boolean
  unlinkedProjectIds: readonly string[]
  /** All projects that the credential is linked to after the change. */
  projectIds: readonly string[]
}

const update = prepared((db, p: Params<CredentialUpdate>) =>
  db
    .with('type', () => lockedType(db, p).where(sql<SqlBool>`${p.changesValues}::boolean`))
    .with('linking', () => lockedProjects(db, p.linkedProjectIds))
    .with('changed', (q) =>
      q
        .updateTable('credentials')
        .set((eb) => ({
          name: sql<string>`${p.name}`,
          description: sql<string | null>`${p.description}`,
          expires_at: sql<Date | null>`${p.expiresAt}`,
          sealed_revision: sql<number>`${p.sealedRevision}`,
          revision: eb('revision', '+', 1),
          updated_at: sql<Date>`now()`
        }))
        .where('owner_id', '=', p.ownerId)
        .where('id', '=', p.id)
        .where('revision', '=', p.revision)
        .where(sql<SqlBool>`(not ${p.changesValues}::boolean or exists (select from type))`)
        .where(mayLink(p.ownerId, p.linkedProjectIds))
        .returning(['id', 'revision', 'updated_at'])
    )
    .with('removed_environment', (q) =>
      q
        .deleteFrom('credential_environments as e')
        .using('changed')
        .whereRef('e.credential_id', '=', 'changed.id')
        .where(sql<SqlBool>`${p.changesValues}::boolean and e.name <> all(${p.environmentNames}::text[])`)
    )
    .with('environment', (q) =>
      q
        .insertInto('credential_environments')
        .columns(['credential_id', 'name'])
        .expression((eb) =>
          eb
            .selectFrom('changed')
            .select(['id', sql<string>`unnest(${p.environmentNames}::text[])`.as('name')])
        )
        .onConflict((conflict) => conflict.doNothing())
    )
    .with('removed_value', (q) =>
      q
        .deleteFrom('credential_keys as k')
        .using('changed')
        .whereRef('k.credential_id', '=', 'changed.id')
        .where(sql<SqlBool>`${p.changesValues}::boolean and not exists (
          select from unnest(${p.environments}::text[], ${p.fieldIds}::uuid[]) n(environment, field_id)
          where n.environment = k.environment and n.field_id = k.field_id)`)
    )
    .with('value', (q) =>
      q
        .insertInto('credential_keys')
        .columns(['credential_id', 'environment', 'field_id', 'value', 'data_key_no'])
        .expression(sealedRows('changed', p) as never)
        .onConflict((conflict) =>
          conflict.columns(['credential_id', 'environment', 'field_id']).doUpdateSet((eb) => ({
            value: eb.ref('excluded.value'),
            data_key_no: eb.ref('excluded.data_key_no')
          }))
        )
    )
    .with('unlinked', (q) =>
      q
        .deleteFrom('credential_projects as l')
        .using('changed')
        .whereRef('l.credential_id', '=', 'changed.id')
        .where(sql<SqlBool>`l.project_id = any(${p.unlinkedProjectIds}::uuid[])`)
    )
    .with('link', () => insertLinks(db, 'changed', p))
    .with('recorded', () => insertEvents(db, p.events, sql`changed`))
    .selectFrom('changed')
    .select(['changed.revision', 'changed.updated_at'])
    .select(
      sql<
        { id: string; name: string }[]
      >`(select coalesce(json_agg(json_build_object('id', p.id, 'name', p.name)
        order by p.name, p.id), '[]')
        from projects p join project_members m on m.project_id = p.id and m.user_id = ${p.ownerId}
        where p.id = any(${p.projectIds}::uuid[]))`.as('projects')
    )
)

/**
 * Changes a credential with its environments, values, links and audit events, in one statement. Returns
 * undefined and changes nothing if it is no longer the owner's at that revision, if the type of changed
 * values is no longer at its revision, or if the owner may not link to one of the projects.
 */
export async function updateCredential(db: Database, input: CredentialUpdate) {
  const [row] = await update(db, input)
  return row
}

/** Locks the owner's credential until the transaction ends, and its type against changes. */
export function lockCredential(trx: Transaction, ownerId: string, id: string) {
  return trx
    .selectFrom('credentials as c')
    .innerJoin('credential_types as t', 't.id', 'c.type_id')
    .where('c.owner_id', '=', ownerId)
    .where('c.id', '=', id)
    .select(['c.id', 'c.revision'])
    .forUpdate('c')
    .forKeyShare('t')
    .executeTakeFirst()
}

/** Gives the credential to another user. The caller has locked it. */
export async function setOwner(trx: Transaction, id: string, ownerId: string): Promise<void> {
  await trx
    .updateTable('credentials')
    .set((eb) => ({ owner_id: ownerId, revision: eb('revision', '+', 1), updated_at: sql<Date>`now()` }))
    .where('id', '=', id)
    .execute()
}

const remove = prepared((db, p: Params<{ ownerId: string; id: string; revisions: number[] | null }>) =>
  db
    .deleteFrom('credentials')
    .where('owner_id', '=', p.ownerId)
    .where('id', '=', p.id)
    .where(sql<SqlBool>`(${p.revisions}::int[] is null or revision = any(${p.revisions}::int[]))`)
    .returning('id')
)

/**
 * Deletes the owner's credential if it is at one of the revisions (null: any). Returns false if it is not
 * there.
 */
export async function deleteCredential(
  db: Database,
  ownerId: string,
  id: string,
  revisions: number[] | null
): Promise<boolean> {
  return (await remove(db, { ownerId, id, revisions })).length > 0
}
