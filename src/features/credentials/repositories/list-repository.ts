import { type ExpressionBuilder, type Kysely, type QueryCreator, sql } from 'kysely'
import type { Viewer } from '../../../auth/lookup.ts'
import type { Database } from '../../../db/database.ts'
import { type Params, prepared } from '../../../db/prepared.ts'
import type { Tables } from '../../../db/tables.ts'
import {
  CREDENTIAL,
  type CredentialTables,
  environments,
  OWN_COLUMNS,
  sharedProjects,
  usageCount
} from './credential-repository.ts'

type Eb = ExpressionBuilder<CredentialTables, 'c' | 't'>

/** The fields that have a value in the environment `main`. */
const filledFields = sql<string[]>`array(select k.field_id from credential_keys k
  where k.credential_id = c.id and k.environment = 'main')`.as('filled_fields')

/**
 * What an item of a list has besides the credential's columns, as the viewer may see it. No value is among
 * it.
 */
const itemParts = (eb: Eb, viewer: Viewer, listed?: Viewer) =>
  [environments, usageCount, filledFields, sharedProjects(eb, viewer, listed)] as const

export interface ListFilter {
  ownerId: string
  typeId: string | undefined
  /** A pattern for `ilike`. */
  pattern: string | undefined
}

type ListParams = Params<{
  ownerId: string
  typeId: string | null
  pattern: string | null
  limit: number
  offset: number
}>

/** Makes a statement for a combination of filters, so that each uses its own index. */
function listStatement(byType: boolean, bySearch: boolean) {
  const owned = (db: Kysely<Tables>, p: ListParams) =>
    db
      .selectFrom('credentials as c')
      .where('c.owner_id', '=', p.ownerId)
      .$if(byType, (query) => query.where('c.type_id', '=', p.typeId))
      .orderBy('c.created_at', 'desc')
      .orderBy('c.id', 'desc')
  // A trigger keeps the totals of owners and types. What a search matches is counted.
  const keptTotal = (db: Kysely<Tables>, p: ListParams) =>
    db
      .selectFrom('credential_totals')
      .where('owner_id', '=', p.ownerId)
      .$if(byType, (query) => query.where('type_id', '=', p.typeId))
      .select(sql<number>`coalesce(sum(total), 0)::bigint`.as('total'))
  return prepared((db, p: ListParams) => {
    const limit = sql<number>`${p.limit}::bigint`
    const offset = sql<number>`${p.offset}::bigint`
    const matching = () => owned(db, p).where('c.name', 'ilike', p.pattern).select('c.id')
    const searched = bySearch ? db.with((cte) => cte('matching').materialized(), matching) : db
    const found = sql<string>`any(array(select id from matching limit ${limit} offset ${offset}))`
    return (searched as QueryCreator<Tables & { matching: { id: string } }>)
      .with('total', (q) =>
        bySearch ? q.selectFrom('matching').select(sql<number>`count(*)`.as('total')) : keptTotal(db, p)
      )
      .with('c', () =>
        bySearch
          ? db.selectFrom('credentials as c').where('c.id', '=', found).select(OWN_COLUMNS)
          : owned(db, p).limit(limit).offset(offset).select(OWN_COLUMNS)
      )
      .selectFrom('total')
      .leftJoin('c', (join) => join.onTrue())
      .leftJoin('credential_types as t', 't.id', 'c.type_id')
      .select('total.total')
      .select(CREDENTIAL)
      .select((eb) => itemParts(eb as unknown as Eb, p.ownerId))
      .orderBy('c.created_at', 'desc')
      .orderBy('c.id', 'desc')
  })
}

const lists = [false, true].map((byType) => [false, true].map((bySearch) => listStatement(byType, bySearch)))

/** Returns a page of the owner's credentials, newest first, and how many match in all. */
export async function listCredentials(
  db: Database,
  { ownerId, typeId, pattern }: ListFilter,
  limit: number,
  offset: number
): Promise<{ rows: ItemRow[]; total: number }> {
  const list = lists[Number(typeId !== undefined)]![Number(pattern !== undefined)]!
  const values = { ownerId, typeId: typeId ?? null, pattern: pattern ?? null, limit, offset }
  // At least one row, which has the total; its item is null if the page is empty.
  const rows = await list(db, values)
  return { rows: rows.filter((row) => row.id !== null) as ItemRow[], total: rows[0]!.total }
}

const byProject = prepared((db, p: Params<{ projectId: string; viewer: string | null }>) =>
  db
    .selectFrom('credential_projects as link')
    .innerJoin('credentials as c', 'c.id', 'link.credential_id')
    .innerJoin('credential_types as t', 't.id', 'c.type_id')
    .where('link.project_id', '=', p.projectId)
    .select(CREDENTIAL)
    .select((eb) => itemParts(eb, p.viewer, p.projectId))
    .orderBy('c.created_at', 'desc')
    .orderBy('c.id', 'desc')
)

/** Lists all credentials of the project, whoever owns them, newest first. The viewer is a member, or null. */
export function listProjectCredentials(db: Database, projectId: string, viewer: string | null) {
  return byProject(db, { projectId, viewer })
}

export type ItemRow = Awaited<ReturnType<typeof listProjectCredentials>>[number]
