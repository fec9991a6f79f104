import {
  type Expression,
  type ExpressionBuilder,
  type Kysely,
  type SelectQueryBuilder,
  type SqlBool,
  sql
} from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import { lookup, type Viewer } from '../../../auth/lookup.ts'
import type { Database } from '../../../db/database.ts'
import { type Params, prepared } from '../../../db/prepared.ts'
import type { Tables } from '../../../db/tables.ts'
import { MAX_FIELDS } from '../../../http/schemas.ts'

/**
 * The largest total size, in bytes, of a caller's sealed values in a batch, or on the connections of short
 * reads. Larger ones are read by a long read.
 */
export const MAX_BATCHED = 64 * 1024
export const MAX_BATCHED_BYTES = sql.lit(MAX_BATCHED)

export type CredentialTables = Tables & { c: Tables['credentials']; t: Tables['credential_types'] }
type Eb = ExpressionBuilder<CredentialTables, 'c' | 't'>

/** The columns of a credential `c` and its type `t`. */
export const CREDENTIAL = [
  'c.id',
  'c.owner_id',
  'c.type_id',
  'c.name',
  'c.description',
  'c.lightning_schema',
  'c.revision',
  'c.sealed_revision',
  'c.expires_at',
  'c.created_at',
  'c.updated_at',
  't.type_name',
  't.revision as type_revision'
] as const

export const environments = sql<string[]>`array_to_json(array(select e.name from credential_environments e
  where e.credential_id = c.id))`.as('environments')

export const usageCount = sql<number>`(select count(*) from credential_usages u
  where u.credential_id = c.id)`.as('usage_count')

/** The number of projects that the credential is linked to. */
export const linkCount = sql<number>`(select count(*) from credential_projects l
  where l.credential_id = c.id)`.as('links')

/** The credential's projects of which the viewer is a member, and the project `listed`, by name. */
export const sharedProjects = (eb: Eb, viewer: Viewer, listed?: Viewer) =>
  jsonArrayFrom(
    eb
      .selectFrom('credential_projects as l')
      .innerJoin('projects as p', 'p.id', 'l.project_id')
      .whereRef('l.credential_id', '=', 'c.id')
      .where(
        sql<SqlBool>`(exists (select from project_members m
          where m.project_id = l.project_id and m.user_id = ${viewer})
          ${listed ? sql`or l.project_id = ${listed}` : sql``})`
      )
      .select(['p.id', 'p.name'])
      .orderBy('p.name_key')
      .orderBy('p.id')
  ).as('projects')

/**
 * The fields that have a value in `main`, by id: with the sealed value in base64 if the field is not secret,
 * null otherwise. Secret values are read only to be revealed, resolved or changed.
 */
const openValues = sql<Record<string, string | null>>`(
  select coalesce(json_object_agg(
    k.field_id, case when not f.secret then encode(k.value, 'base64') end), '{}')
  from credential_keys k join credential_type_fields f on f.id = k.field_id
  where k.credential_id = c.id and k.environment = 'main')`

/**
 * The maximum size of a value, in bytes, such that the values of all fields of a type fit into a batch.
 */
const MAX_BATCHED_VALUE = sql.lit(MAX_BATCHED / MAX_FIELDS)

/**
 * The same, or null if one of them is too large for a batch. Determines sizes without reading the values.
 */
const batchableOpenValues = sql<Record<string, string | null> | null>`(
  select case when bool_and(f.secret or octet_length(k.value) <= ${MAX_BATCHED_VALUE}) is not false
    then coalesce(json_object_agg(k.field_id,
      case when not f.secret and octet_length(k.value) <= ${MAX_BATCHED_VALUE}
        then encode(k.value, 'base64') end), '{}') end
  from credential_keys k join credential_type_fields f on f.id = k.field_id
  where k.credential_id = c.id and k.environment = 'main')`

/** True for the owner, and for members of a project that the credential is linked to. */
export const isVisible = (viewer: Viewer) => sql<SqlBool>`(c.owner_id = ${viewer} or exists (
  select from credential_projects l
  join project_members m on m.project_id = l.project_id and m.user_id = ${viewer}
  where l.credential_id = c.id))`

/** Selects a credential that is visible to the viewer, without its values. */
const visible = (db: Kysely<Tables>, id: Expression<string>, viewer: Viewer) =>
  db
    .selectFrom('credentials as c')
    .innerJoin('credential_types as t', 't.id', 'c.type_id')
    .where('c.id', '=', id)
    .where(isVisible(viewer))
    .select(CREDENTIAL)
    .select((eb) => [environments, usageCount, sharedProjects(eb, viewer)])

/** A visible credential. `values` is null if they are too large for a batch. */
export const visibleCredential = lookup(
  (db, p: Params<{ id: string }>, { userId }) =>
    visible(db, p.id, userId).select(batchableOpenValues.as('values')),
  { id: 'uuid' }
)

const visibleWithValues = prepared(
  (db, p: Params<{ id: string; userId: string }>) =>
    visible(db, p.id, p.userId).select(openValues.as('values')),
  { pool: 'longReads' }
)

/** The owner and name of a visible credential. */
export const visibleHead = lookup(
  (db, p: Params<{ id: string }>, { userId: viewer }) =>
    db
      .selectFrom('credentials as c')
      .where('c.id', '=', p.id)
      .where(isVisible(viewer))
      .select(['c.id', 'c.owner_id', 'c.name']),
  { id: 'uuid' }
)

/** Returns the credential as the user sees it, or undefined if it is hidden or missing. */
export async function findCredential(db: Database, userId: string, id: string) {
  const [row] = await visibleWithValues(db, { userId, id })
  return row
}

export type CredentialRow = NonNullable<Awaited<ReturnType<typeof findCredential>>>

interface StoredValue {
  environment: string
  fieldId: string
  /** Sealed, in base64. */
  sealed: string
}

/** Adds the columns that a change needs. `sealed_values` is null unless `included` is true. */
const withChangeable = <Selected>(
  query: SelectQueryBuilder<CredentialTables, 'c' | 't', Selected>,
  included: Expression<boolean>
) =>
  query.select([
    sql<string[]>`array_to_json(array(select l.project_id from credential_projects l
      where l.credential_id = c.id))`.as('project_ids'),
    sql<StoredValue[] | null>`case when ${included} then (
      select coalesce(json_agg(json_build_object(
        'environment', k.environment, 'fieldId', k.field_id, 'sealed', encode(k.value, 'base64'))), '[]')
      from credential_keys k where k.credential_id = c.id) end`.as('sealed_values')
  ])

/**
 * A visible credential with the columns that a change needs. `sealed_values` is null without `withValues`,
 * for others than the owner, and if the values are too large for a batch. So is `values` in the last case.
 */
export const changeableCredential = lookup(
  (db, p: Params<{ id: string; withValues: boolean }>, { userId }) =>
    withChangeable(
      visible(db, p.id, userId).select(batchableOpenValues.as('values')),
      sql<boolean>`c.owner_id = ${userId} and ${p.withValues} and ${MAX_BATCHED_BYTES} >= (
        select coalesce(sum(octet_length(k.value)), 0) from credential_keys k where k.credential_id = c.id)`
    ),
  { id: 'uuid', withValues: 'boolean' }
)

const ownForChange = prepared(
  (db, p: Params<{ ownerId: string; id: string; withValues: boolean }>) =>
    withChangeable(visible(db, p.id, p.ownerId).select(openValues.as('values')), p.withValues).where(
      'c.owner_id',
      '=',
      p.ownerId
    ),
  { pool: 'longReads' }
)

/** Returns the credential with the columns that a change needs, or undefined if it is not the owner's. */
export async function findForChange(db: Database, ownerId: string, id: string, withValues: boolean) {
  const [row] = await ownForChange(db, { ownerId, id, withValues })
  return row
}

export type ChangingCredential = NonNullable<Awaited<ReturnType<typeof findForChange>>>

export type PreloadedCredential = Awaited<ReturnType<typeof changeableCredential.find>>[number]

const inProject = prepared((db, p: Params<{ projectId: string; id: string }>) =>
  db
    .selectFrom('credentials as c')
    .where('c.id', '=', p.id)
    .where(sql<SqlBool>`(exists (select from credential_projects l
        where l.credential_id = c.id and l.project_id = ${p.projectId})
      or exists (select from credential_usages u
        where u.credential_id = c.id and u.project_id = ${p.projectId}))`)
    .select(['c.id', 'c.name', 'c.owner_id'])
)

/** Returns the credential if it is linked to the project, or still has a usage that was registered for it. */
export async function findInProject(db: Database, projectId: string, id: string) {
  const [row] = await inProject(db, { projectId, id })
  return row
}
