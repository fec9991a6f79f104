import { type Expression, type Kysely, sql } from 'kysely'
import { lookup, type Viewer } from '../../../auth/lookup.ts'
import type { Database } from '../../../db/database.ts'
import { type Params, prepared } from '../../../db/prepared.ts'
import type { Tables } from '../../../db/tables.ts'
import { isVisible, MAX_BATCHED, MAX_BATCHED_BYTES } from './credential-repository.ts'

/** Sealed values in base64, by field id. */
export type SealedById = Record<string, string>

type TextParam = Expression<string>

const isConfigured = (environment: TextParam) =>
  sql<boolean>`exists (select from credential_environments e
    where e.credential_id = c.id and e.name = ${environment})`.as('configured')

/** The values of `c` in one environment. */
const sealedValues = (environment: TextParam) =>
  sql<SealedById>`(select coalesce(json_object_agg(k.field_id, encode(k.value, 'base64')), '{}')
    from credential_keys k where k.credential_id = c.id and k.environment = ${environment})`

/** The size of the sealed values of `c` in one environment, in bytes. Does not read the values. */
const sizeOf = (environment: TextParam) => sql<number>`(select coalesce(sum(octet_length(k.value)), 0)
  from credential_keys k where k.credential_id = c.id and k.environment = ${environment})`

/**
 * True if the values of `c` in one environment are small enough to share a batch with those of `count`
 * others.
 */
const isBatchable = (environment: TextParam, count: Expression<number>) =>
  sql<boolean>`${MAX_BATCHED_BYTES} / ${count} >= ${sizeOf(environment)}`

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
      sql<SealedById | null>`case when c.owner_id = ${viewer} and ${isBatchable(p.environment, sql.lit(1))}
        then ${sealedValues(p.environment)} end`.as('sealed')
    ),
  { id: 'uuid', environment: 'text' }
)

const revealableOwn = prepared(
  (db, p: Params<{ id: string; ownerId: string; environment: string }>) =>
    revealing(db, p.id, p.ownerId, p.environment)
      .where('c.owner_id', '=', p.ownerId)
      .select(sealedValues(p.environment).as('sealed')),
  { pool: 'longReads' }
)

/** Returns the owner's credential with its sealed values in one environment, of any size, or undefined. */
export async function findRevealable(db: Database, ownerId: string, id: string, environment: string) {
  return (await revealableOwn(db, { ownerId, id, environment }))[0]
}

export type RevealableRow = NonNullable<Awaited<ReturnType<typeof findRevealable>>>

/** The credentials that are linked to a project. */
const linked = (db: Kysely<Tables>, projectId: Viewer, environment: TextParam) =>
  db
    .selectFrom('credential_projects as l')
    .innerJoin('credentials as c', 'c.id', 'l.credential_id')
    .innerJoin('credential_types as t', 't.id', 'c.type_id')
    .where('l.project_id', '=', projectId as Expression<string>)
    .select(['c.id', 'c.owner_id', 'c.name', 'c.revision', 'c.sealed_revision', 'c.expires_at'])
    .select(['c.type_id', 't.type_name', 't.revision as type_revision'])
    .select([sql<boolean>`coalesce(c.expires_at <= now(), false)`.as('expired'), isConfigured(environment)])

/** Finds linked credentials by id, with their sealed values in one environment: null if they are large. */
export const linkedById = lookup(
  (db, p: Params<{ ids: string[]; environment: string }>, { projectId }) =>
    linked(db, projectId, p.environment)
      .where(sql<boolean>`l.credential_id = any(${p.ids}::uuid[])`)
      .select([
        sql<SealedById | null>`case when ${isBatchable(p.environment, sql`cardinality(${p.ids}::uuid[])`)}
          then ${sealedValues(p.environment)} end`.as('sealed'),
        'c.name_key'
      ]),
  { ids: 'uuid[]', environment: 'text' }
)

interface LinkedParams {
  projectId: string
  ids: string[]
  /** Folded names. */
  nameKeys: string[]
  environment: string
  /** The largest total size, in bytes, of sealed values that are read. */
  maxBytes: number
}

/** Reads the values of all credentials that it finds, or none if they are too large together. */
const linkedByIdOrName = (pool: 'reads' | 'longReads') =>
  prepared(
    (db, p: Params<LinkedParams>) =>
      db
        .with('found', (q) =>
          linked(q as Kysely<Tables>, p.projectId, p.environment)
            .where(sql<boolean>`(c.id = any(${p.ids}::uuid[]) or c.name_key = any(${p.nameKeys}::text[]))`)
            .select(['c.name_key', sizeOf(p.environment).as('size')])
        )
        .selectFrom('found as c')
        .select(['c.id', 'c.owner_id', 'c.name', 'c.revision', 'c.sealed_revision', 'c.expires_at'])
        .select(['c.type_id', 'c.type_name', 'c.type_revision', 'c.expired', 'c.configured'])
        .select([
          'c.name_key',
          sql<number>`(select sum(size) from found)::bigint`.as('total_size'),
          sql<SealedById | null>`case when (select sum(size) from found) <= ${p.maxBytes}::int
            then ${sealedValues(p.environment)} end`.as('sealed')
        ]),
    { pool }
  )

const linkedWithFewValues = linkedByIdOrName('reads')
const linkedWithAnyValues = linkedByIdOrName('longReads')

type Sealed<Found> = Found & { sealed: SealedById }

const isSealed = <Found extends { sealed: SealedById | null }>(row: Found): row is Sealed<Found> =>
  row.sealed !== null

/**
 * Finds linked credentials by id, or by folded name, with their sealed values. Reads the names of the
 * whole project. Returns undefined, without having read a value, if all of them have over `maxBytes` bytes.
 */
export async function findLinked(
  db: Database,
  { maxBytes, ...params }: LinkedParams
): Promise<LinkedRow[] | undefined> {
  const found = await linkedWithFewValues(db, { ...params, maxBytes: Math.min(maxBytes, MAX_BATCHED) })
  if (found.every(isSealed)) return found
  if (found[0]!.total_size > maxBytes) return undefined
  const large = await linkedWithAnyValues(db, { ...params, maxBytes })
  return large.every(isSealed) ? large : undefined
}

export type LinkedRow = Sealed<Awaited<ReturnType<typeof linkedById.find>>[number]>
export type PreloadedRow = Awaited<ReturnType<typeof linkedById.find>>[number]
