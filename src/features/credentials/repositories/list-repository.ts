import { sql } from 'kysely'
import type { Database } from '../../../db/database.ts'
import { endOfPage, type Order, orderBy, type Position, type Slice } from '../../../db/keyset.ts'
import type { Found } from '../../../db/paged-list.ts'
import { type Params, prepared } from '../../../db/prepared.ts'
import type { Listed } from '../../../http/array-stream.ts'
import { linkCount } from './credential-repository.ts'
import { type ItemRow, itemsOf, linkedTo } from './item-repository.ts'

export type CredentialSort = `${'' | '-'}${'createdAt' | 'name' | 'updatedAt' | 'expiresAt'}`

/** Selects the credentials of an owner, or those that are linked to a project. */
export type ListScope = { ownerId: string } | { ofProjectId: string }

export interface ListFilter {
  typeId: string | undefined
  /** A pattern for keys of names. */
  pattern: string | undefined
  /** Only credentials in this project, if the owner is a member of it. */
  projectId: string | undefined
  /** Expires at this time or later. */
  expiresFrom: Date | undefined
  /** Expires before this time. */
  expiresBefore: Date | undefined
  updatedSince: Date | undefined
}

interface ListValues {
  ownerId: string | null
  ofProjectId: string | null
  typeId: string | null
  pattern: string | null
  projectId: string | null
  expiresFrom: Date | null
  expiresBefore: Date | null
  updatedSince: Date | null
  afterKey: string | null
  afterId: string | null
  limit: number
  offset: number
}
type P = Params<ListValues>

const SHORT_PARAMS = {
  ownerId: 'uuid',
  ofProjectId: 'uuid',
  typeId: 'uuid',
  pattern: 'text',
  projectId: 'uuid',
  expiresFrom: 'timestamptz',
  expiresBefore: 'timestamptz',
  updatedSince: 'timestamptz',
  afterKey: 'text',
  afterId: 'uuid',
  limit: 'bigint',
  offset: 'bigint'
}

/** A credential that never expires is the last to expire. An index has this expression. */
const expiry = sql`coalesce(c.expires_at, 'infinity'::timestamptz)`

const COLUMNS = {
  createdAt: { value: sql`c.created_at`, type: 'timestamptz' },
  name: { value: sql`c.name_key`, type: 'text' },
  updatedAt: { value: sql`c.updated_at`, type: 'timestamptz' },
  expiresAt: { value: expiry, type: 'timestamptz' }
} as const

const ID = { value: sql`c.id`, type: 'uuid' } as const

/** The order of credentials `c`. */
const orderOf = (sort: CredentialSort): Order => orderBy(sort, COLUMNS, ID)

/** The order of rows `c` that have the sort key as a column. */
const orderByKey = (sort: CredentialSort): Order => {
  const name = sort.replace('-', '') as keyof typeof COLUMNS
  return orderBy(sort, { [name]: { value: sql`c.key`, type: COLUMNS[name].type } }, ID)
}

const owned = (p: P) => sql`select c.id from credentials c where c.owner_id = ${p.ownerId}`

/**
 * The indexes that a list with filters can be read from. Each query reads the ids of a range of one index;
 * the other filters apply to the rows of these ids. Without the order of the index, a generic plan may scan
 * the table.
 */
const SOURCES = {
  owner: (p: P) => sql`${owned(p)} order by c.created_at desc, c.id desc`,
  type: (p: P) => sql`${owned(p)} and c.type_id = ${p.typeId} order by c.created_at desc, c.id desc`,
  expiry: (p: P) => sql`${owned(p)}
    and ${expiry} >= coalesce(${p.expiresFrom}::timestamptz, '-infinity')
    and ${expiry} < coalesce(${p.expiresBefore}::timestamptz, 'infinity')
    order by ${expiry}, c.id`,
  /** Selects nothing if the viewer is not a member of the project. */
  project: (p: P) => sql`select l.credential_id from credential_projects l
    join project_members m on m.project_id = l.project_id and m.user_id = ${p.ownerId}
    where l.project_id = ${p.projectId}`,
  wholeProject: (p: P) => linkedTo(p.ofProjectId)
}
type Source = keyof typeof SOURCES

const isMatch = (p: P) => sql`
  (${p.ownerId}::uuid is null or c.owner_id = ${p.ownerId}::uuid)
  and (${p.typeId}::uuid is null or c.type_id = ${p.typeId}::uuid)
  and (${p.pattern}::text is null or c.name_key like ${p.pattern}::text)
  and (${p.expiresFrom}::timestamptz is null or c.expires_at >= ${p.expiresFrom}::timestamptz)
  and (${p.expiresBefore}::timestamptz is null or c.expires_at < ${p.expiresBefore}::timestamptz)
  and (${p.updatedSince}::timestamptz is null or c.updated_at >= ${p.updatedSince}::timestamptz)`

/** A list with filters. All matches are read once, for the page and for the total. */
const filtered = (source: Source, sort: CredentialSort, p: P) => ({
  matching: sql`select c.id, ${orderOf(sort).column} as key from credentials c
    where c.id = any(array(${SOURCES[source](p)})) and ${isMatch(p)}`,
  rest: sql`select c.id, c.key from matching c
    where ${p.afterId}::uuid is null or ${orderByKey(sort).isAfter(p.afterKey, p.afterId)}`,
  total: sql<number>`(select count(*) from matching)`
})

/** A list in the order of an index. Its total is kept by a trigger. */
const indexed = (byType: boolean, isAfter: boolean, sort: CredentialSort, p: P) => {
  const order = orderOf(sort)
  const type = byType ? sql`and type_id = ${p.typeId}` : sql``
  const after = isAfter ? sql`and ${order.isAfter(p.afterKey, p.afterId)}` : sql``
  return {
    matching: sql`select c.id, ${order.column} as key from credentials c
      where c.owner_id = ${p.ownerId} ${type} ${after}`,
    rest: sql`select c.id, c.key from matching c`,
    total: sql<number>`(select coalesce(sum(total), 0)::bigint from credential_totals
      where owner_id = ${p.ownerId} ${type})`
  }
}

interface Choice {
  /** Undefined for a list in the order of an index. */
  source: Source | undefined
  byType: boolean
  isAfter: boolean
  isLong: boolean
  sort: CredentialSort
  output: 'items' | 'ids'
}

type Place = Position & Listed

function statementFor({ source, byType, isAfter, isLong, sort, output }: Choice) {
  const { direction } = orderByKey(sort)
  const inOrder = sql`order by c.key ${sql.raw(direction)}, c.id ${sql.raw(direction)}`
  const links = output === 'ids' ? sql`, 'links', ${linkCount.expression}` : sql``
  return prepared(
    (db, p: P) => {
      const { matching, rest, total } = source ? filtered(source, sort, p) : indexed(byType, isAfter, sort, p)
      const order = orderOf(sort)
      const rows = sql<{ id: string; key: unknown }>`(select c.id, c.key from (${rest}) c ${inOrder}
        limit ${p.limit}::bigint + 1 offset ${p.offset}::bigint)`
      const places = sql<Place[]>`(select coalesce(json_agg(
        json_build_object('id', c.id, 'key', c.key ${links}) ${inOrder}), '[]') from page c)`
      const shown = sql`select c.id from page c ${inOrder} limit ${p.limit}::bigint`
      const items = output === 'items' ? itemsOf(db, shown, order, p.ownerId) : sql<ItemRow[]>`'[]'::json`
      return db
        .with(
          (cte) => (source ? cte('matching').materialized() : cte('matching').notMaterialized()),
          () => sql`(${matching})`
        )
        .with(
          (cte) => cte('page').materialized(),
          () => rows
        )
        .selectNoFrom([total.as('total'), places.as('places'), items.as('items')])
    },
    isLong ? { pool: 'longReads' } : { batch: SHORT_PARAMS, pool: 'reads' }
  )
}

const statements = new Map<string, ReturnType<typeof statementFor>>()

/** The maximum page size and offset of a short read. Larger reads would delay other requests. */
const SHORT = { limit: 50, offset: 2_000 }

const NO_FILTER: ListFilter = {
  typeId: undefined,
  pattern: undefined,
  projectId: undefined,
  expiresFrom: undefined,
  expiresBefore: undefined,
  updatedSince: undefined
}

/** Returns the source with the fewest rows, or undefined if the list has the order of an index. */
function sourceOf(
  scope: ListScope,
  sort: CredentialSort,
  { typeId, ...filter }: ListFilter
): Source | undefined {
  if ('ofProjectId' in scope) return 'wholeProject'
  if (filter.projectId) return 'project'
  if (filter.expiresFrom || filter.expiresBefore) return 'expiry'
  const isIndexed = typeId ? sort.endsWith('createdAt') : !sort.endsWith('updatedAt')
  if (isIndexed && !filter.pattern && !filter.updatedSince) return undefined
  return typeId ? 'type' : 'owner'
}

async function read(
  db: Database,
  output: 'items' | 'ids',
  scope: ListScope,
  filter: ListFilter,
  slice: Slice<CredentialSort>
) {
  const { sort, after, limit, offset } = slice
  const source = sourceOf(scope, sort, filter)
  const isShort = !source && output === 'items' && limit <= SHORT.limit && offset <= SHORT.offset
  const isAfter = !source && after !== null
  const choice = { source, byType: filter.typeId !== undefined, isAfter, isLong: !isShort, sort, output }
  const name = Object.values(choice).join()
  const statement = statements.get(name) ?? statementFor(choice)
  statements.set(name, statement)
  const [found] = await statement(db, {
    ownerId: 'ownerId' in scope ? scope.ownerId : null,
    ofProjectId: 'ofProjectId' in scope ? scope.ofProjectId : null,
    typeId: filter.typeId ?? null,
    pattern: filter.pattern ?? null,
    projectId: filter.projectId ?? null,
    expiresFrom: filter.expiresFrom ?? null,
    expiresBefore: filter.expiresBefore ?? null,
    updatedSince: filter.updatedSince ?? null,
    afterKey: after?.key ?? null,
    afterId: after?.id ?? null,
    limit,
    offset
  })
  const { places, items, total } = found!
  return { ...endOfPage(places, slice, ({ id, key }) => ({ id, key })), items, total }
}

/** Returns one page of the owner's credentials, and the total. */
export async function listCredentials(
  db: Database,
  ownerId: string,
  filter: ListFilter,
  slice: Slice<CredentialSort>
): Promise<Found<ItemRow>> {
  const { items, next, total } = await read(db, 'items', { ownerId }, filter, slice)
  return { rows: items, next, total }
}

/** Returns the ids of one page of credentials, and the total. */
export async function listCredentialIds(
  db: Database,
  scope: ListScope,
  filter: Partial<ListFilter>,
  slice: Slice<CredentialSort>
): Promise<Found<Listed>> {
  const { rows, next, total } = await read(db, 'ids', scope, { ...NO_FILTER, ...filter }, slice)
  return { rows, next, total }
}
