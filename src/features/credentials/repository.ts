import { type RawBuilder, type SqlBool, sql } from 'kysely'
import { lookup, type Viewer } from '../../auth/lookup.ts'
import type { Database, Transaction } from '../../db/database.ts'
import { type Params, prepared } from '../../db/prepared.ts'
import type { SealedKeys } from './sealing.ts'

/** The project `p` as JSON, without a line feed in it. */
export const projectAsJson = sql<string>`'{"id":"' || p.id || '","name":' || to_json(p.name) || '}'`

/** The projects `p` of this `from`, as a JSON array, by their names. */
export const projectsAsJson = (from: RawBuilder<unknown>) =>
  sql<string>`'[' || array_to_string(array(
        select ${projectAsJson}
        from ${from}
        order by p.name, p.id), ',') || ']'`

/**
 * The fields that have a value in the environment `main`, with spaces between: each by its id, and right behind it the
 * sealed value (base64) if it is not secret; the secret ones no read but that of `reveal` takes out of the database.
 */
const values = sql<string>`array_to_string(array(
    select k.field_id || case when f.secret then '' else encode(k.value, 'base64') end
    from credential_keys k
    join credential_type_fields f on f.id = k.field_id
    where k.credential_id = c.id and k.environment = 'main'), ' ')`

const isMember = (viewer: Viewer) => sql<SqlBool>`exists (select from credential_projects l
  join project_members m on m.project_id = l.project_id and m.user_id = ${viewer}
  where l.credential_id = c.id)`

const isVisible = (viewer: Viewer) => sql<SqlBool>`(c.owner_id = ${viewer} or ${isMember(viewer)})`

/**
 * The credential as its owner, or a member of a project that it is linked to, sees it: with the projects that both are in.
 * What it has several of comes as one text, since Postgres takes longer for anything else: environments with spaces
 * between, projects as a JSON array by their names.
 */
export const visibleCredential = lookup(
  (db, p: Params<{ id: string }>, { userId: viewer }) =>
    db
      .selectFrom('credentials as c')
      .innerJoin('credential_types as t', 't.id', 'c.type_id')
      .where('c.id', '=', p.id)
      .where(isVisible(viewer))
      .select([
        'c.id',
        'c.owner_id',
        'c.type_id',
        'c.name',
        'c.description',
        'c.revision',
        'c.sealed_revision'
      ])
      .select(['c.expires_at', 'c.created_at', 'c.updated_at', 't.type_name', 't.revision as type_revision'])
      .select([
        sql<string>`array_to_string(array(select e.name from credential_environments e
        where e.credential_id = c.id), ' ')`.as('environments'),
        projectsAsJson(sql`credential_projects l
        join project_members m on m.project_id = l.project_id and m.user_id = ${viewer}
        join projects p on p.id = l.project_id
        where l.credential_id = c.id`).as('projects'),
        sql<number>`(select count(*) from credential_usages u where u.credential_id = c.id)`.as(
          'usage_count'
        ),
        values.as('values')
      ]),
  { id: 'uuid' }
)

/** Whose it is and what it is called, for the same people. */
export const visibleHead = lookup(
  (db, p: Params<{ id: string }>, { userId: viewer }) =>
    db
      .selectFrom('credentials as c')
      .where('c.id', '=', p.id)
      .where(isVisible(viewer))
      .select(['c.id', 'c.owner_id', 'c.name']),
  { id: 'uuid' }
)

/** The credential as the user sees it; undefined for one that is hidden or not there. */
export async function findCredential(db: Database, viewer: string, id: string) {
  const [row] = await visibleCredential.alone(db, { userId: viewer, projectId: null }, { id })
  return row
}

export type CredentialRow = NonNullable<Awaited<ReturnType<typeof findCredential>>>

/** Takes the row, and its type against changes, until the transaction ends; undefined when it is not the owner's. */
export function lockCredential(trx: Transaction, ownerId: string, id: string) {
  return trx
    .selectFrom('credentials as c')
    .innerJoin('credential_types as t', 't.id', 'c.type_id')
    .where('c.owner_id', '=', ownerId)
    .where('c.id', '=', id)
    .select(['c.id', 'c.type_id', 'c.revision', 'c.sealed_revision'])
    .forUpdate('c')
    .forKeyShare('t')
    .executeTakeFirst()
}

export function listSealedKeys(db: Database, credentialId: string) {
  return db
    .selectFrom('credential_keys')
    .where('credential_id', '=', credentialId)
    .select(['environment', 'field_id', 'value'])
    .execute()
}

/** Puts these values in the place of all that the credential had. */
export async function replaceKeys(trx: Transaction, credentialId: string, keys: SealedKeys): Promise<void> {
  await trx.deleteFrom('credential_keys').where('credential_id', '=', credentialId).execute()
  await sql`insert into credential_keys (credential_id, environment, field_id, value, data_key_no)
    select ${credentialId}::uuid, k.environment, k.field_id, k.value, ${keys.dataKeyNo}::int
    from unnest(${keys.environments}::text[], ${keys.fieldIds}::uuid[], ${keys.values}::bytea[])
      k(environment, field_id, value)`.execute(trx)
}

/** Makes the environment if it is not there, and gives how many there are then. The credential's row is locked. */
export async function ensureEnvironment(
  trx: Transaction,
  credentialId: string,
  name: string
): Promise<number> {
  await trx
    .insertInto('credential_environments')
    .values({ credential_id: credentialId, name })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const { count } = await trx
    .selectFrom('credential_environments')
    .where('credential_id', '=', credentialId)
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return count
}

/** Deletes the environment with its values; gives whether it was there. */
export async function deleteEnvironment(
  trx: Transaction,
  credentialId: string,
  name: string
): Promise<boolean> {
  const result = await trx
    .deleteFrom('credential_environments')
    .where('credential_id', '=', credentialId)
    .where('name', '=', name)
    .executeTakeFirst()
  return result.numDeletedRows > 0n
}

export interface CredentialChanges {
  name?: string
  description?: string | null
  expires_at?: Date | null
  sealed_revision?: number
}

/** Changes these columns and counts the change. */
export async function updateCredential(
  trx: Transaction,
  ownerId: string,
  id: string,
  changes: CredentialChanges
): Promise<void> {
  await trx
    .updateTable('credentials')
    .set((eb) => ({ ...changes, revision: eb('revision', '+', 1), updated_at: sql<Date>`now()` }))
    .where('owner_id', '=', ownerId)
    .where('id', '=', id)
    .execute()
}

const deleteOwn = prepared((db, p: Params<{ ownerId: string; id: string; revisions: number[] | null }>) =>
  db
    .deleteFrom('credentials')
    .where('owner_id', '=', p.ownerId)
    .where('id', '=', p.id)
    .where(sql<SqlBool>`(${p.revisions}::int[] is null or revision = any(${p.revisions}::int[]))`)
    .returning('id')
)

/** Deletes the owner's credential, if it is at one of these revisions (null: at any); gives whether it did. */
export async function deleteCredential(
  db: Database,
  ownerId: string,
  id: string,
  revisions: number[] | null
): Promise<boolean> {
  const rows = await deleteOwn(db, { ownerId, id, revisions })
  return rows.length > 0
}

export async function listConsumers(db: Database, credentialId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('credential_usages')
    .where('credential_id', '=', credentialId)
    .select('consumer')
    .distinct()
    .orderBy('consumer')
    .limit(100)
    .execute()
  return rows.map((row) => row.consumer)
}

/** The owner's credential and its sealed values in one environment; no row when it is not the owner's. */
export const findSealedValues = prepared(
  (db, p: Params<{ ownerId: string; id: string; environment: string }>) =>
    db
      .selectFrom('credentials as c')
      .where('c.owner_id', '=', p.ownerId)
      .where('c.id', '=', p.id)
      .select(['c.revision', 'c.sealed_revision'])
      .select([
        sql<boolean>`exists (select from credential_environments e
        where e.credential_id = c.id and e.name = ${p.environment})`.as('configured'),
        sql<
          { fieldId: string; fieldName: string; sealed: string | null }[]
        >`(select coalesce(json_agg(json_build_object(
          'fieldId', f.id, 'fieldName', f.field_name, 'sealed', encode(k.value, 'base64')) order by f.position), '[]')
        from credential_type_fields f
        left join credential_keys k on k.credential_id = c.id and k.environment = ${p.environment} and k.field_id = f.id
        where f.type_id = c.type_id)`.as('keys')
      ]),
  { together: { ownerId: 'uuid', id: 'uuid', environment: 'text' } }
)

const findLinked = prepared((db, p: Params<{ projectId: string; id: string }>) =>
  db
    .selectFrom('credentials as c')
    .where('c.id', '=', p.id)
    .where(sql<SqlBool>`(exists (select from credential_projects l
        where l.credential_id = c.id and l.project_id = ${p.projectId})
      or exists (select from credential_usages u where u.credential_id = c.id and u.project_id = ${p.projectId}))`)
    .select(['c.id', 'c.name', 'c.owner_id'])
)

/** The credential, if the project has to do with it: by a link, or by a usage that is left of one. */
export async function findInProject(db: Database, projectId: string, id: string) {
  const [row] = await findLinked(db, { projectId, id })
  return row
}

/** The credential's row is locked by the caller. */
export async function setOwner(trx: Transaction, id: string, ownerId: string): Promise<void> {
  await trx
    .updateTable('credentials')
    .set((eb) => ({ owner_id: ownerId, revision: eb('revision', '+', 1), updated_at: sql<Date>`now()` }))
    .where('id', '=', id)
    .execute()
}
