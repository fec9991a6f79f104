import { type Expression, type Kysely, sql } from 'kysely'
import { lookup, type Viewer } from '../../auth/lookup.ts'
import type { Database } from '../../db/database.ts'
import { type Params, prepared } from '../../db/prepared.ts'
import type { Tables } from '../../db/tables.ts'
import { projectAsJson } from './repository.ts'

const inUtc = (column: 'expires_at' | 'created_at' | 'updated_at') =>
  sql`${sql.ref(`c.${column}`)} at time zone 'UTC'`

const jsonOf = (column: string) => sql`coalesce(to_json(${sql.ref(column)})::text, 'null')`

/** What is in an item's columns: times in UTC, nothing for one that is not set; names as JSON. */
export type ItemColumns = [
  id: string,
  ownerId: string,
  typeId: string,
  typeRevision: string,
  revision: string,
  expiresAt: string,
  createdAt: string,
  updatedAt: string,
  typeName: string,
  name: string,
  description: string
]

/**
 * `ItemColumns` with tabs between, of which there are none in JSON. As one text, since Postgres and the driver take
 * longer for columns than for what is in them.
 */
const itemAsText = sql<string>`concat_ws(e'\t', c.id, c.owner_id, c.type_id, t.revision, c.revision,
  coalesce((${inUtc('expires_at')})::text, ''), ${inUtc('created_at')}, ${inUtc('updated_at')},
  ${jsonOf('t.type_name')}, ${jsonOf('c.name')}, ${jsonOf('c.description')})`

const rowsOf = (db: Kysely<Tables>) =>
  db
    .selectFrom('credentials as c')
    .select(['c.id', 'c.owner_id', 'c.type_id', 'c.name', 'c.description', 'c.revision'])
    .select(['c.expires_at', 'c.created_at', 'c.updated_at'])

/**
 * A page of credentials as `viewer` may see them, with the projects that both are in, and the one `asked`: one row, however
 * many there are. What they have several of is looked up once for the whole page; its parts begin with the credential's id.
 */
function pageOf(
  db: Kysely<Tables>,
  page: ReturnType<typeof rowsOf>,
  viewer: Viewer,
  asked?: Expression<string>
) {
  const inPage = sql`any(array(select id from page))`
  // A scalar, so that it is looked up for each link: a join might begin with all that the viewer is a member of.
  const isShared = sql`(select true from project_members m where m.project_id = l.project_id and m.user_id = ${viewer})`
  return db
    .with(
      (cte) => cte('page').materialized(),
      () => page
    )
    .selectNoFrom([
      // Newest first, a line each.
      sql<string | null>`(select string_agg(${itemAsText}, e'\n' order by c.created_at desc, c.id desc)
        from page c join credential_types t on t.id = c.type_id)`.as('items'),
      sql<string | null>`(select string_agg(e.credential_id || e.name, ' ')
        from credential_environments e where e.credential_id = ${inPage})`.as('environments'),
      // The fields that have a value in the environment `main`.
      sql<string | null>`(select string_agg(k.credential_id || k.field_id::text, ' ')
        from credential_keys k where k.credential_id = ${inPage} and k.environment = 'main')`.as('filled'),
      sql<string | null>`(select string_agg(u.credential_id || u.count::text, ' ')
        from (select credential_id, count(*) from credential_usages
          where credential_id = ${inPage} group by credential_id) u)`.as('usages'),
      sql<string | null>`(select string_agg(l.credential_id || ${projectAsJson}, e'\n' order by p.name, p.id)
        from credential_projects l join projects p on p.id = l.project_id
        where l.credential_id = ${inPage}
          and (${isShared}${asked ? sql` or l.project_id = ${asked}` : sql``}))`.as('projects')
    ])
}

const markOf = (db: Kysely<Tables>, ownerId: Viewer) =>
  db
    .selectFrom('list_marks')
    .where('owner_id', '=', ownerId)
    .select(sql<string>`coalesce(sum(mark), 0)::text`.as('mark'))

/** Stands for all that the lists of the owner's credentials show: it is another one whenever any of that has changed. */
export const listMark = lookup(
  (db, _: Params<object>, { userId }) => markOf(db, userId).select(sql<string>`${userId}::uuid`.as('id')),
  {}
)

export interface ListFilter {
  ownerId: string
  typeId: string | undefined
  /** A LIKE pattern. */
  pattern: string | undefined
}

type ListParams = Params<{
  ownerId: string
  typeId: string | null
  pattern: string | null
  limit: number
  offset: number
}>

const PARAMS = { ownerId: 'uuid', typeId: 'uuid', pattern: 'text', limit: 'bigint', offset: 'bigint' }

// One text for each combination of filters, so that each can use its own index.
function listStatements(byType: boolean, bySearch: boolean) {
  const matching = (db: Kysely<Tables>, p: ListParams) =>
    rowsOf(db)
      .where('c.owner_id', '=', p.ownerId)
      .$if(byType, (query) => query.where('c.type_id', '=', p.typeId))
      .$if(bySearch, (query) => query.where('c.name', 'ilike', p.pattern))
  // Only a search has to be counted.
  const total = (db: Kysely<Tables>, p: ListParams) =>
    bySearch
      ? matching(db, p).clearSelect().select(sql<number>`count(*)`.as('total'))
      : db
          .selectFrom('credential_totals')
          .where('owner_id', '=', p.ownerId)
          .$if(byType, (query) => query.where('type_id', '=', p.typeId))
          .select(sql<number>`coalesce(sum(total), 0)::bigint`.as('total'))
  const build = (db: Kysely<Tables>, p: ListParams) => {
    const page = matching(db, p)
      .orderBy('c.created_at', 'desc')
      .orderBy('c.id', 'desc')
      .limit(sql<number>`${p.limit}::bigint`)
      .offset(sql<number>`${p.offset}::bigint`)
    return pageOf(db, page, p.ownerId)
      .select(total(db, p).as('total'))
      .select(markOf(db, p.ownerId).$asScalar().$notNull().as('mark'))
  }
  const read = bySearch ? 'search' : 'long'
  return {
    alone: prepared(build, { read }),
    together: prepared(build, bySearch ? { read } : { read, together: PARAMS })
  }
}

const lists = [false, true].map((byType) => [false, true].map((bySearch) => listStatements(byType, bySearch)))

/** A page that far from the first takes longer than others, which are not to wait for it. */
const FAR = 2_000

/** One page of the owner's credentials, how many match in all, and the `listMark` of the moment. */
export async function listCredentials(db: Database, filter: ListFilter, limit: number, offset: number) {
  const list = lists[Number(filter.typeId !== undefined)]![Number(filter.pattern !== undefined)]!
  const values = {
    ownerId: filter.ownerId,
    typeId: filter.typeId ?? null,
    pattern: filter.pattern ?? null,
    limit,
    offset
  }
  const [page] = await (offset > FAR ? list.alone : list.together)(db, values)
  return page!
}

const listByProject = prepared(
  (db, p: Params<{ projectId: string; viewer: string | null }>) => {
    const page = rowsOf(db).where('c.id', 'in', (eb) =>
      eb.selectFrom('credential_projects').where('project_id', '=', p.projectId).select('credential_id')
    )
    return pageOf(db, page, p.viewer, p.projectId)
  },
  { read: 'long' }
)

/** All credentials of the project, whoever owns them. The caller is known to be a member. */
export async function listProjectCredentials(db: Database, projectId: string, viewer: string | null) {
  const [page] = await listByProject(db, { projectId, viewer })
  return page!
}

export type Page = Awaited<ReturnType<typeof listProjectCredentials>>
