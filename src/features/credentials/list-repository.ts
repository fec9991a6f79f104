import { type Kysely, sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import { type Params, prepared } from '../../db/statement.ts'
import type { Tables } from '../../db/tables.ts'
import { columns, credentials, OWN } from './repository.ts'

/** The ids of the fields that have a value in the environment `main`, in one text. */
const filled = sql<string>`array_to_string(array(select k.field_id from credential_keys k
  where k.credential_id = c.id and k.environment = 'main'), ' ')`.as('filled')

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
    db
      .selectFrom('credentials as c')
      .where('c.owner_id', '=', p.ownerId)
      .$if(byType, (query) => query.where('c.type_id', '=', p.typeId))
      .$if(bySearch, (query) => query.where('c.name', 'ilike', p.pattern))
  // Only a search has to be counted.
  const total = (db: Kysely<Tables>, p: ListParams) =>
    bySearch
      ? matching(db, p).select(sql<number>`count(*)`.as('total'))
      : db
          .selectFrom('credential_totals')
          .where('owner_id', '=', p.ownerId)
          .$if(byType, (query) => query.where('type_id', '=', p.typeId))
          .select(sql<number>`coalesce(sum(total), 0)::bigint`.as('total'))
  const read = bySearch ? 'search' : 'long'
  return {
    // The page is cut from the bare rows first: what is skipped costs nothing but an index entry, and what is not is
    // not looked for again.
    page: prepared(
      (db, p: ListParams) =>
        columns(
          db
            .selectFrom(
              matching(db, p)
                .select(OWN)
                .orderBy('c.created_at', 'desc')
                .orderBy('c.id', 'desc')
                .limit(sql<number>`${p.limit}::bigint`)
                .offset(sql<number>`${p.offset}::bigint`)
                .as('c')
            )
            .innerJoin('credential_types as t', 't.id', 'c.type_id') as ReturnType<typeof credentials>,
          p.ownerId
        )
          .select(filled)
          .select(total(db, p).as('total'))
          .orderBy('c.created_at', 'desc')
          .orderBy('c.id', 'desc'),
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
  (db, p: Params<{ projectId: string; viewer: string | null }>) =>
    columns(credentials(db), p.viewer, p.projectId)
      .select(filled)
      .where('c.id', 'in', (eb) =>
        eb.selectFrom('credential_projects').where('project_id', '=', p.projectId).select('credential_id')
      )
      .orderBy('c.created_at', 'desc')
      .orderBy('c.id', 'desc'),
  { read: 'long' }
)

export type ItemRow = Awaited<ReturnType<typeof listProjectCredentials>>[number]
