import { type Expression, type QueryCreator, type RawBuilder, sql } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import type { Viewer } from '../../../auth/lookup.ts'
import type { Database } from '../../../db/database.ts'
import { type Params, prepared } from '../../../db/prepared.ts'
import type { Tables } from '../../../db/tables.ts'
import { type Listed, MAX_ITEMS } from '../../../http/array-stream.ts'
import { CREDENTIAL, environments, linkCount, sharedProjects, usageCount } from './credential-repository.ts'

/** The fields that have a value in the environment `main`. */
const filledFields = sql<string[]>`array_to_json(array(select k.field_id from credential_keys k
  where k.credential_id = c.id and k.environment = 'main'))`.as('filled_fields')

export interface ListFilter {
  ownerId: string
  typeId: string | undefined
  /** A pattern for keys of names. */
  pattern: string | undefined
}

type ListParams = Params<{
  ownerId: string
  typeId: string | null
  pattern: string | null
  limit: number
  offset: number
}>

const LIST_PARAMS = { ownerId: 'uuid', typeId: 'uuid', pattern: 'text', limit: 'bigint', offset: 'bigint' }

/**
 * The credentials with these ids, newest first, as one JSON array: cheaper to send and to parse than rows.
 */
const itemsOf = (db: QueryCreator<Tables>, ids: RawBuilder<unknown>, viewer: Viewer, listed?: Viewer) =>
  jsonArrayFrom(
    db
      .selectFrom('credentials as c')
      .innerJoin('credential_types as t', 't.id', 'c.type_id')
      .where('c.id', '=', sql<string>`any(array(${ids}))`)
      .select(CREDENTIAL)
      .select((eb) => [environments, usageCount, filledFields, sharedProjects(eb, viewer, listed)])
      .orderBy('c.created_at', 'desc')
      .orderBy('c.id', 'desc')
  )

/** Builds the statement for one combination of filters, so that each combination uses its own index. */
function listStatement(byType: boolean, bySearch: boolean, isLong: boolean) {
  const options =
    bySearch || isLong ? ({ pool: 'longReads' } as const) : ({ batch: LIST_PARAMS, pool: 'reads' } as const)
  return prepared((db, p: ListParams) => {
    const owned = db
      .selectFrom('credentials')
      .where('owner_id', '=', p.ownerId)
      .$if(byType, (query) => query.where('type_id', '=', p.typeId))
      .select('id')
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
    // The ordered index of lists returns the ids. With the owner and the name in one condition, a generic
    // plan may scan the whole table.
    const searched = db
      .selectFrom('credentials')
      .where('id', '=', sql<string>`any(array${owned})`)
      .where('name_key', 'like', p.pattern)
      .select('id')
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
    const matching = bySearch ? searched : owned
    const keptTotal = db
      .selectFrom('credential_totals')
      .where('owner_id', '=', p.ownerId)
      .$if(byType, (query) => query.where('type_id', '=', p.typeId))
      .select(sql<number>`coalesce(sum(total), 0)::bigint`.as('total'))
    const page = sql`select id from matching limit ${p.limit}::bigint offset ${p.offset}::bigint`
    return db
      .with(
        // A search reads its matches once, for the page and the total. Other totals are kept by a trigger.
        (cte) => (bySearch ? cte('matching').materialized() : cte('matching').notMaterialized()),
        () => matching
      )
      .selectNoFrom([
        (bySearch ? sql<number>`(select count(*) from matching)` : sql<number>`${keptTotal}`).as('total'),
        itemsOf(db, page, p.ownerId).as('items')
      ])
  }, options)
}

const CHOICES = [false, true]
const lists = CHOICES.map((byType) =>
  CHOICES.map((bySearch) => CHOICES.map((isLong) => listStatement(byType, bySearch, isLong)))
)

/** The largest page, and the largest offset, of a short read. Other pages would wait for longer ones. */
const SHORT = { limit: 50, offset: 2_000 }

/** Returns one page of the owner's credentials, newest first, and the total. */
export async function listCredentials(
  db: Database,
  { ownerId, typeId, pattern }: ListFilter,
  limit: number,
  offset: number
) {
  const isLong = limit > SHORT.limit || offset > SHORT.offset
  const choices = [typeId !== undefined, pattern !== undefined, isLong].map(Number)
  const list = lists[choices[0]!]![choices[1]!]![choices[2]!]!
  const values = { ownerId, typeId: typeId ?? null, pattern: pattern ?? null, limit, offset }
  return (await list(db, values))[0]!
}

const linkedTo = (projectId: Expression<string>) =>
  sql`select credential_id from credential_projects where project_id = ${projectId}`

/** The most credentials of a project, and the most links that they have, that are listed by a short read. */
const FEW = { items: 250, links: 1_000 }

const fewOfProject = prepared(
  (db, p: Params<{ projectId: string; viewer: string | null }>) => {
    const linked = linkedTo(p.projectId)
    const { items, links } = FEW
    return db.selectNoFrom(
      sql<ItemRow[] | null>`case
        when (select count(*) from (${linked} limit ${sql.lit(items + 1)}) counted) <= ${sql.lit(items)}
          and (select count(*) from (
            select from credential_projects where credential_id in (${linked}) limit ${sql.lit(links + 1)}
          ) counted) <= ${sql.lit(links)}
        then ${itemsOf(db, linked, p.viewer, p.projectId)} end`.as('items')
    )
  },
  { batch: { projectId: 'uuid', viewer: 'uuid' }, pool: 'reads' }
)

/**
 * Lists all credentials of the project, newest first. Returns null if they are not few. The viewer must be a
 * member, or null.
 */
export async function listProjectCredentials(
  db: Database,
  projectId: string,
  viewer: string | null
): Promise<ItemRow[] | null> {
  return (await fewOfProject(db, { projectId, viewer }))[0]!.items
}

const idsOfProject = prepared(
  (db, p: Params<{ projectId: string }>) =>
    db
      .selectFrom('credential_projects as p')
      .innerJoin('credentials as c', 'c.id', 'p.credential_id')
      .where('p.project_id', '=', p.projectId)
      .select(['c.id', linkCount])
      .orderBy('c.created_at', 'desc')
      .orderBy('c.id', 'desc')
      .limit(sql.lit(MAX_ITEMS + 1)),
  { pool: 'longReads' }
)

/** Returns the ids of the project's credentials, newest first, and at most one more than `MAX_ITEMS`. */
export function listProjectCredentialIds(db: Database, projectId: string): Promise<Listed[]> {
  return idsOfProject(db, { projectId })
}

const ofProjectById = prepared(
  (db, p: Params<{ projectId: string; viewer: string | null; ids: readonly string[] }>) => {
    const linked = sql`${linkedTo(p.projectId)} and credential_id = any(${p.ids}::uuid[])`
    return db.selectNoFrom(itemsOf(db, linked, p.viewer, p.projectId).as('items'))
  },
  { pool: 'longReads' }
)

/** Lists the credentials with these ids that are in the project, newest first. */
export async function listProjectCredentialsById(
  db: Database,
  projectId: string,
  viewer: string | null,
  ids: readonly string[]
): Promise<ItemRow[]> {
  return (await ofProjectById(db, { projectId, viewer, ids }))[0]!.items
}

export type ItemRow = Awaited<ReturnType<typeof listCredentials>>['items'][number]
