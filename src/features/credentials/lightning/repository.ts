import { type Expression, type SqlBool, sql } from 'kysely'
import type { Database } from '../../../db/database.ts'
import { type Params, prepared } from '../../../db/prepared.ts'

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
    order by p.name, p.id), '[]')
  from credential_projects l
  join project_members m on m.project_id = l.project_id and m.user_id = ${viewer}
  join projects p on p.id = l.project_id
  where l.credential_id = c.id)`.as('links')

function listStatement(which: 'own' | 'project' | 'one') {
  return prepared((db, p: Params<{ viewer: string; id: string }>) =>
    db
      .selectFrom('credentials as c')
      .innerJoin('credential_types as t', 't.id', 'c.type_id')
      .$if(which !== 'project', (query) => query.where('c.owner_id', '=', p.viewer))
      .$if(which === 'one', (query) => query.where('c.id', '=', p.id))
      .$if(which === 'project', (query) =>
        query.where(
          sql<SqlBool>`c.id in (select credential_id from credential_projects where project_id = ${p.id})`
        )
      )
      .select([
        'c.id',
        'c.name',
        't.type_name',
        'c.external_id',
        'c.owner_id',
        'c.created_at',
        'c.updated_at'
      ])
      .select(links(p.viewer))
      .orderBy(sql`lower(c.name) collate "C"`)
      .orderBy('c.id')
  )
}

const own = listStatement('own')
const byProject = listStatement('project')
const one = listStatement('one')

export type LightningRow = Awaited<ReturnType<typeof own>>[number]

/** Lists the viewer's own credentials, by lower-case name in bytewise order. */
export const listOwn = (db: Database, viewer: string) => own(db, { viewer, id: '' })

/** Lists all credentials of the project, in the same order. The viewer must be a member. */
export const listByProject = (db: Database, viewer: string, projectId: string) =>
  byProject(db, { viewer, id: projectId })

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
