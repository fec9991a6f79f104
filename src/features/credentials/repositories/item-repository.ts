import { type Expression, type QueryCreator, type RawBuilder, sql } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import { type CallerTokenParams, isLive } from '../../../auth/caller-repository.ts'
import type { Viewer } from '../../../auth/lookup.ts'
import type { Database } from '../../../db/database.ts'
import { type Params, prepared } from '../../../db/prepared.ts'
import type { Tables } from '../../../db/tables.ts'
import { Forbidden } from '../../../http/problems.ts'
import { CREDENTIAL, environments, sharedProjects, usageCount } from './credential-repository.ts'

/** The fields that have a value in the environment `main`. */
const filledFields = sql<string[]>`array_to_json(array(select k.field_id from credential_keys k
  where k.credential_id = c.id and k.environment = 'main'))`.as('filled_fields')

/** The order of a list of credentials `c`. */
interface ItemOrder {
  column: RawBuilder<unknown>
  direction: 'asc' | 'desc'
}

/** The credentials with these ids as one JSON array: cheaper to send and to parse than rows. */
export const itemsOf = (
  db: QueryCreator<Tables>,
  ids: RawBuilder<unknown>,
  { column, direction }: ItemOrder,
  viewer: Viewer,
  listed?: Viewer
) =>
  jsonArrayFrom(
    db
      .selectFrom('credentials as c')
      .innerJoin('credential_types as t', 't.id', 'c.type_id')
      .where('c.id', '=', sql<string>`any(array(${ids}))`)
      .select(CREDENTIAL)
      .select((eb) => [environments, usageCount, filledFields, sharedProjects(eb, viewer, listed)])
      .orderBy(column, direction)
      .orderBy('c.id', direction)
  )

export const linkedTo = (projectId: Expression<string | null>) =>
  sql`select credential_id from credential_projects where project_id = ${projectId}`

/** The maximum number of credentials, and of their links, that a short read lists for a project. */
const FEW = { items: 250, links: 1_000 }

const NEWEST_FIRST: ItemOrder = { column: sql`c.created_at`, direction: 'desc' }

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
        then ${itemsOf(db, linked, NEWEST_FIRST, p.viewer, p.projectId)} end`.as('items')
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

/** A reader of a project's list, with their session or token. `viewer` is null for a token of the project. */
export interface ProjectReader extends CallerTokenParams {
  projectId: string
  viewer: string | null
}

/** True if the reader's access has not ended. A list that is sent slowly must not outlast it. */
export const mayList = (p: Params<ProjectReader>) => sql<boolean>`(${isLive(p)} and (
  ${p.viewer}::uuid is null or exists (
    select from project_members m where m.project_id = ${p.projectId} and m.user_id = ${p.viewer}::uuid)))`

const ofProjectById = prepared(
  (db, p: Params<ProjectReader & { ids: readonly string[] }>) => {
    const linked = sql`${linkedTo(p.projectId)} and credential_id = any(${p.ids}::uuid[])`
    const asGiven: ItemOrder = { column: sql`array_position(${p.ids}::uuid[], c.id)`, direction: 'asc' }
    const items = itemsOf(db, linked, asGiven, p.viewer, p.projectId)
    return db.selectNoFrom(sql<ItemRow[] | null>`case when ${mayList(p)} then ${items} end`.as('items'))
  },
  { pool: 'longReads' }
)

/**
 * Lists the credentials with these ids that are in the project, in the order of the ids. Throws Forbidden if
 * the reader's access has ended.
 */
export async function listProjectCredentialsById(
  db: Database,
  reader: ProjectReader,
  ids: readonly string[]
): Promise<ItemRow[]> {
  const [found] = await ofProjectById(db, { ...reader, ids })
  if (!found!.items) throw new Forbidden()
  return found!.items
}

export type ItemRow = ReturnType<typeof itemsOf> extends RawBuilder<(infer Item)[]> ? Item : never
