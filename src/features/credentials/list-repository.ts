import { type Expression, type Kysely, type RawBuilder, sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import { type Params, prepared } from '../../db/statement.ts'
import type { Tables } from '../../db/tables.ts'
import type { Viewer } from '../../plugins/lookup.ts'
import { projectAsJson } from './repository.ts'

const OWN = ['c.id', 'c.owner_id', 'c.type_id', 'c.name', 'c.description', 'c.revision'] as const

/** In UTC. As text, since making times of them only to write them again takes a tenth of a list. */
const inUtc = (column: 'expires_at' | 'created_at' | 'updated_at') =>
  sql`(${sql.ref(`c.${column}`)} at time zone 'UTC')::text`

const rowsOf = (db: Kysely<Tables>) =>
  db.selectFrom('credentials as c').select([...OWN, 'c.expires_at', 'c.created_at', 'c.updated_at'])

/**
 * The credentials of a page, newest first, as `viewer` may see them: with the projects that both are in, and the one
 * `asked`. What they have several of is looked up once for the whole page, and stands in one of its rows: a text for each
 * sort of it, with parts that begin with the credential's id.
 */
function items(
  db: Kysely<Tables>,
  page: ReturnType<typeof rowsOf>,
  viewer: Viewer,
  asked?: Expression<string>
) {
  const ofPage = (text: RawBuilder<unknown>) =>
    sql<string | null>`case when c.id = (select id from page limit 1) then coalesce((${text}), '') end`
  const inPage = sql`any(array(select id from page))`
  // A scalar, so that it is looked up for each link: a join might begin with all that the viewer is a member of.
  const isShared = sql`(select true from project_members m where m.project_id = l.project_id and m.user_id = ${viewer})`
  return db
    .with(
      (cte) => cte('page').materialized(),
      () => page
    )
    .selectFrom('page as c')
    .innerJoin('credential_types as t', 't.id', 'c.type_id')
    .select([...OWN, 't.type_name', 't.revision as type_revision'])
    .select([
      inUtc('expires_at').$castTo<string | null>().as('expires_at'),
      inUtc('created_at').$castTo<string>().as('created_at'),
      inUtc('updated_at').$castTo<string>().as('updated_at')
    ])
    .select([
      ofPage(sql`select string_agg(e.credential_id || e.name, ' ')
        from credential_environments e where e.credential_id = ${inPage}`).as('environments'),
      // The fields that have a value in the environment `main`.
      ofPage(sql`select string_agg(k.credential_id || k.field_id::text, ' ')
        from credential_keys k where k.credential_id = ${inPage} and k.environment = 'main'`).as('filled'),
      ofPage(sql`select string_agg(u.credential_id || u.count::text, ' ')
        from (select credential_id, count(*) from credential_usages
          where credential_id = ${inPage} group by credential_id) u`).as('usages'),
      ofPage(sql`select string_agg(l.credential_id || ${projectAsJson}, e'\n' order by p.name, p.id)
        from credential_projects l join projects p on p.id = l.project_id
        where l.credential_id = ${inPage}
          and (${isShared}${asked ? sql` or l.project_id = ${asked}` : sql``})`).as('projects')
    ])
    .orderBy('c.created_at', 'desc')
    .orderBy('c.id', 'desc')
}

export interface ListFilter {
  ownerId: string
  typeId: string | undefined
  /** A LIKE pattern. */
  pattern: string | undefined
}

type ListParams = Params<{ ownerId: string; typeId: string; pattern: string; limit: number; offset: number }>

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
  const read = bySearch ? 'search' : 'long'
  return {
    page: prepared(
      (db, p: ListParams) => {
        const page = matching(db, p)
          .orderBy('c.created_at', 'desc')
          .orderBy('c.id', 'desc')
          .limit(sql<number>`${p.limit}::bigint`)
          .offset(sql<number>`${p.offset}::bigint`)
        return items(db, page, p.ownerId).select(total(db, p).as('total'))
      },
      { read }
    ),
    total: prepared(total, { read })
  }
}

const lists = [false, true].map((byType) => [false, true].map((bySearch) => listStatements(byType, bySearch)))

/** One page of the owner's credentials, newest first, and how many match in all. */
export async function listCredentials(db: Database, filter: ListFilter, limit: number, offset: number) {
  const statements = lists[Number(filter.typeId !== undefined)]![Number(filter.pattern !== undefined)]!
  const values = { ...filter, typeId: filter.typeId ?? '', pattern: filter.pattern ?? '', limit, offset }
  const rows = await statements.page(db, values)
  if (rows.length > 0 || offset === 0) return { rows, total: rows[0]?.total ?? 0 }
  // A page past the end.
  const [count] = await statements.total(db, values)
  return { rows, total: count!.total }
}

/** All credentials of the project, newest first, whoever owns them. The caller is known to be a member. */
export const listProjectCredentials = prepared(
  (db, p: Params<{ projectId: string; viewer: string | null }>) => {
    const page = rowsOf(db).where('c.id', 'in', (eb) =>
      eb.selectFrom('credential_projects').where('project_id', '=', p.projectId).select('credential_id')
    )
    return items(db, page, p.viewer, p.projectId)
  },
  { read: 'long' }
)

export type ItemRow = Awaited<ReturnType<typeof listProjectCredentials>>[number]
