import { type Expression, type QueryCreator, type SqlBool, sql } from 'kysely'
import { type CallerTokenParams, isLive } from '../../../auth/caller-repository.ts'
import type { Database } from '../../../db/database.ts'
import { type Params, prepared } from '../../../db/prepared.ts'
import type { Tables } from '../../../db/tables.ts'
import { Forbidden } from '../../../http/problems.ts'
import { mayList, type ProjectReader } from '../repositories/item-repository.ts'

interface LinkRow {
  id: string
  projectId: string
  name: string
  description: string | null
  createdAt: string
}

const links = (viewer: Expression<string>) =>
  sql<LinkRow[]>`(select coalesce(json_agg(json_build_object(
    'id', l.id, 'projectId', l.project_id, 'name', p.name, 'description', p.description,
    'createdAt', l.created_at)
    order by p.name_key, p.id), '[]')
  from credential_projects l
  join project_members m on m.project_id = l.project_id and m.user_id = ${viewer}
  join projects p on p.id = l.project_id
  where l.credential_id = c.id)`.as('links')

type Which = 'own' | 'project'
type ListParams = Params<ProjectReader & { viewer: string; ids: readonly string[] }>

const credentials = (db: QueryCreator<Tables>, viewer: Expression<string>) =>
  db
    .selectFrom('credentials as c')
    .innerJoin('credential_types as t', 't.id', 'c.type_id')
    .select(['c.id', 'c.name', 't.type_name', 'c.lightning_schema', 'c.external_id'])
    .select(['c.owner_id', 'c.created_at', 'c.updated_at'])
    .select(links(viewer))

const isListed = (which: Which, p: ListParams) =>
  which === 'own'
    ? sql<SqlBool>`c.owner_id = ${p.viewer}`
    : sql<SqlBool>`c.id in (select credential_id from credential_projects where project_id = ${p.projectId})`

/** Selects a row without an id if nothing was found. */
const byId = (which: Which) =>
  prepared(
    (db, p: ListParams) =>
      db
        .with('access', () => {
          const allowed = which === 'own' ? isLive(p) : mayList(p)
          return sql<{ allowed: boolean }>`(select ${allowed} as allowed)`
        })
        .with('listed', () =>
          credentials(db, p.viewer)
            .where(sql<SqlBool>`(select allowed from access)`)
            .where(isListed(which, p))
            .where(sql<SqlBool>`c.id = any(${p.ids}::uuid[])`)
        )
        .selectFrom('access')
        .leftJoin('listed as c', (join) => join.onTrue())
        .select(['access.allowed', 'c.id', 'c.name', 'c.type_name', 'c.lightning_schema', 'c.external_id'])
        .select(['c.owner_id', 'c.created_at', 'c.updated_at', 'c.links'])
        .orderBy(sql`array_position(${p.ids}::uuid[], c.id)`),
    { pool: 'longReads' }
  )

const statements = { own: byId('own'), project: byId('project') }

const one = prepared((db, p: Params<{ viewer: string; id: string }>) =>
  credentials(db, p.viewer).where('c.owner_id', '=', p.viewer).where('c.id', '=', p.id)
)

export type LightningRow = Awaited<ReturnType<typeof one>>[number]

/**
 * Returns those of the credentials with these ids that are the viewer's own or, with a project, that are in
 * it, in the order of the ids. Throws Forbidden if the viewer is no longer a member of the project, or if
 * their session or token has ended.
 */
export async function listById(
  db: Database,
  { projectId, ...viewer }: CallerTokenParams & { viewer: string; projectId: string | undefined },
  ids: readonly string[]
): Promise<LightningRow[]> {
  const read = statements[projectId === undefined ? 'own' : 'project']
  const rows = await read(db, { ...viewer, projectId: projectId ?? '', ids })
  if (!rows[0]!.allowed) throw new Forbidden()
  return rows.filter((row): row is typeof row & LightningRow => row.id !== null)
}

/** Returns undefined if the credential is missing or not the viewer's own. */
export async function findOwn(db: Database, viewer: string, id: string): Promise<LightningRow | undefined> {
  const [row] = await one(db, { viewer, id })
  return row
}

/** Finds a credential of any owner. */
export function findHead(db: Database, id: string) {
  return db
    .selectFrom('credentials')
    .select(['id', 'name', 'owner_id'])
    .where('id', '=', id)
    .executeTakeFirst()
}
