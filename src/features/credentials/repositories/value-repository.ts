import { type Expression, type Kysely, type RawBuilder, sql } from 'kysely'
import { lookup, type Viewer } from '../../../auth/lookup.ts'
import type { Database } from '../../../db/database.ts'
import { type Params, prepared } from '../../../db/prepared.ts'
import type { Tables } from '../../../db/tables.ts'
import { isVisible, MAX_BATCHED, MAX_BATCHED_BYTES } from './credential-repository.ts'
import { linkedTo } from './item-repository.ts'

/** Sealed values in base64, by field id. */
export type SealedById = Record<string, string>

type TextParam = Expression<string>

const isConfigured = (environment: TextParam) =>
  sql<boolean>`exists (select from credential_environments e
    where e.credential_id = c.id and e.name = ${environment})`.as('configured')

/** The sealed values of `c` in one environment. */
const valuesIn = (environment: TextParam) =>
  sql`credential_keys k where k.credential_id = c.id and k.environment = ${environment}`

/** The same, or none if `c` has expired: its values are not resolved. */
const resolvableIn = (environment: TextParam) =>
  sql`${valuesIn(environment)} and (c.expires_at is null or c.expires_at > now())`

const sealedById = (values: RawBuilder<unknown>) =>
  sql<SealedById>`(select coalesce(json_object_agg(k.field_id, encode(k.value, 'base64')), '{}')
    from ${values})`

/** The total size of the values, in bytes. Does not read the values. */
const sizeOf = (values: RawBuilder<unknown>) =>
  sql<number>`(select coalesce(sum(octet_length(k.value)), 0) from ${values})`

/** True if the values are small enough to share a batch with those of `count` others. */
const isBatchable = (values: RawBuilder<unknown>, count: Expression<number>) =>
  sql<boolean>`${MAX_BATCHED_BYTES} / ${count} >= ${sizeOf(values)}`

const revealing = (db: Kysely<Tables>, id: TextParam, viewer: Viewer, environment: TextParam) =>
  db
    .selectFrom('credentials as c')
    .innerJoin('credential_types as t', 't.id', 'c.type_id')
    .where('c.id', '=', id)
    .where(isVisible(viewer))
    .select(['c.id', 'c.owner_id', 'c.name', 'c.revision', 'c.sealed_revision'])
    .select(['c.type_id', 't.revision as type_revision'])
    .select(isConfigured(environment))

/** A visible credential with its sealed values in one environment: null for others, or if they are large. */
export const revealable = lookup(
  (db, p: Params<{ id: string; environment: string }>, { userId: viewer }) =>
    revealing(db, p.id, viewer, p.environment).select(
      sql<SealedById | null>`case
        when c.owner_id = ${viewer} and ${isBatchable(valuesIn(p.environment), sql.lit(1))}
        then ${sealedById(valuesIn(p.environment))} end`.as('sealed')
    ),
  { id: 'uuid', environment: 'text' }
)

const revealableOwn = prepared(
  (db, p: Params<{ id: string; ownerId: string; environment: string }>) =>
    revealing(db, p.id, p.ownerId, p.environment)
      .where('c.owner_id', '=', p.ownerId)
      .select(sealedById(valuesIn(p.environment)).as('sealed')),
  { pool: 'longReads' }
)

/** Returns the owner's credential with its sealed values in one environment, of any size, or undefined. */
export async function findRevealable(db: Database, ownerId: string, id: string, environment: string) {
  return (await revealableOwn(db, { ownerId, id, environment }))[0]
}

export type RevealableRow = NonNullable<Awaited<ReturnType<typeof findRevealable>>>

/**
 * The credentials with these ids that are linked to a project. `offset 0` keeps the planner from reading all
 * links of the project.
 */
const linked = (
  db: Kysely<Tables>,
  projectId: Viewer,
  ids: Expression<readonly string[]>,
  environment: TextParam
) =>
  db
    .selectFrom('credentials as c')
    .innerJoin('credential_types as t', 't.id', 'c.type_id')
    .where(sql<boolean>`c.id = any(${ids})`)
    .where(sql<boolean>`exists (select from credential_projects l
      where l.credential_id = c.id and l.project_id = ${projectId} offset 0)`)
    .select(['c.id', 'c.owner_id', 'c.name', 'c.revision', 'c.sealed_revision', 'c.expires_at'])
    .select(['c.type_id', 't.type_name', 't.revision as type_revision'])
    .select([sql<boolean>`coalesce(c.expires_at <= now(), false)`.as('expired'), isConfigured(environment)])

/** Finds linked credentials by id, with their sealed values in one environment: null if they are large. */
export const linkedById = lookup(
  (db, p: Params<{ ids: string[]; environment: string }>, { projectId }) => {
    const values = resolvableIn(p.environment)
    return linked(db, projectId, sql`${p.ids}::uuid[]`, p.environment).select([
      sql<SealedById | null>`case when ${isBatchable(values, sql`cardinality(${p.ids}::uuid[])`)}
        then ${sealedById(values)} end`.as('sealed'),
      'c.name_key'
    ])
  },
  { ids: 'uuid[]', environment: 'text' }
)

interface LinkedParams {
  projectId: string
  ids: string[]
  /** Folded names. */
  nameKeys: string[]
  environment: string
  /** The largest total size, in bytes, of sealed values in the response. */
  maxBytes: number
}

/** The maximum number of credentials of a project that a short read searches for names. */
const FEW_NAMES = 1_000

const hasNames = (p: Params<LinkedParams>) => sql`cardinality(${p.nameKeys}::text[]) > 0`

/**
 * The ids of the project's credentials with these names: of each name two at most, because several are as
 * ambiguous as two. No index has the names of a project, so all its credentials are read.
 */
const idsOfNames = (p: Params<LinkedParams>) => sql`select unnest((array_agg(c.id))[1:2])
  from credentials c
  where ${hasNames(p)} and c.id = any(array(${linkedTo(p.projectId)}))
    and c.name_key = any(${p.nameKeys}::text[])
  group by c.name_key`

const hasFewNames = (p: Params<LinkedParams>) => sql<boolean>`(not ${hasNames(p)}
  or (select count(*) from (${linkedTo(p.projectId)} limit ${sql.lit(FEW_NAMES + 1)}) counted)
    <= ${sql.lit(FEW_NAMES)})`

/** The size of the values of `c` in the response, which has them twice if both id and name are requested. */
const returnedSize = (p: Params<LinkedParams>) => sql<number>`(${sizeOf(resolvableIn(p.environment))}
  * ((c.id = any(${p.ids}::uuid[]))::int + (c.name_key = any(${p.nameKeys}::text[]))::int))`

/**
 * Reads the values of all credentials that it finds, or none if they are too large together. A short read
 * finds nothing, and is not `complete`, if it would have to search too many names.
 */
const linkedByIdOrName = (pool: 'reads' | 'longReads') =>
  prepared(
    (db, p: Params<LinkedParams>) =>
      db
        .with('scope', () => {
          const complete = pool === 'reads' ? hasFewNames(p) : sql<boolean>`true`
          return sql<{ complete: boolean }>`(select ${complete} as complete)`
        })
        .with('found', () => {
          const ids = sql<string[]>`array(select unnest(${p.ids}::uuid[]) union all ${idsOfNames(p)})`
          return linked(db, p.projectId, ids, p.environment)
            .where(sql<boolean>`(select complete from scope)`)
            .select(['c.name_key', returnedSize(p).as('size')])
        })
        .selectFrom('scope')
        .leftJoin('found as c', (join) => join.onTrue())
        .select(['scope.complete'])
        .select(['c.id', 'c.owner_id', 'c.name', 'c.revision', 'c.sealed_revision', 'c.expires_at'])
        .select(['c.type_id', 'c.type_name', 'c.type_revision', 'c.expired', 'c.configured'])
        .select([
          'c.name_key',
          sql<number>`(select sum(size) from found)::bigint`.as('total_size'),
          sql<SealedById | null>`case when (select sum(size) from found) <= ${p.maxBytes}::int
            then ${sealedById(resolvableIn(p.environment))} end`.as('sealed')
        ]),
    { pool }
  )

const shortRead = linkedByIdOrName('reads')
const longRead = linkedByIdOrName('longReads')

type Sealed<Found> = Found & { sealed: SealedById }

export type PreloadedRow = Awaited<ReturnType<typeof linkedById.find>>[number]
export type LinkedRow = Sealed<PreloadedRow>

const isSealed = <Found extends PreloadedRow>(row: Found): row is Sealed<Found> => row.sealed !== null

/**
 * Finds linked credentials by id, or by folded name, with their sealed values. Returns undefined, without
 * having read a value, if all of them have over `maxBytes` bytes.
 */
export async function findLinked(
  db: Database,
  { maxBytes, ...params }: LinkedParams
): Promise<LinkedRow[] | undefined> {
  const short = { ...params, maxBytes: Math.min(maxBytes, MAX_BATCHED) }
  const { isComplete, rows } = foundIn(await shortRead(db, short))
  if (isComplete && rows.every(isSealed)) return rows
  if (isComplete && rows[0]!.total_size > maxBytes) return undefined
  const large = foundIn(await longRead(db, { ...params, maxBytes })).rows
  return large.every(isSealed) ? large : undefined
}

/** If nothing was found, there is one row, without an id. */
function foundIn(rows: Awaited<ReturnType<typeof shortRead>>) {
  const found = rows.filter(({ id }) => id !== null) as (PreloadedRow & { total_size: number })[]
  return { isComplete: rows[0]!.complete, rows: found }
}
