import { sql } from 'kysely'
import { lookup } from '../../auth/lookup.ts'
import type { Database, Transaction } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { matches, type NamedFilter, namedOrder, pagedList } from '../../db/paged-list.ts'
import type { Params } from '../../db/prepared.ts'
import { prepared } from '../../db/prepared.ts'
import type { ProjectRole, Row } from '../../db/tables.ts'
import { NameTaken, Unauthenticated } from '../../http/problems.ts'
import { foldName, nameColumns } from '../../names.ts'

const columns = ['p.id', 'p.name', 'p.description', 'p.created_at', 'p.updated_at', 'm.role'] as const

type Project = Row<'projects', 'id' | 'name' | 'description' | 'created_at' | 'updated_at'>

/** A project with the caller's role. */
export type ProjectRow = Project & { role: ProjectRole }

/** A project by its id. `role` is null if the caller is not a member. */
export const projectById = lookup(
  (db, p: Params<{ id: string }>, { userId }) =>
    db
      .selectFrom('projects as p')
      .leftJoin('project_members as m', (join) =>
        join.onRef('m.project_id', '=', 'p.id').on('m.user_id', '=', userId)
      )
      .where('p.id', '=', p.id)
      .select(columns),
  { id: 'uuid' }
)

/** Returns one page of the user's projects, and the total. */
export const listProjects = pagedList(
  (db, p: Params<NamedFilter & { userId: string }>, given) =>
    db
      .selectFrom('project_members as m')
      .innerJoin('projects as p', 'p.id', 'm.project_id')
      .where('m.user_id', '=', p.userId)
      .where(matches('p', p, given))
      .select(columns),
  namedOrder('p')
)

const foundByName = prepared(
  (db, p: Params<{ userId: string; keys: readonly string[] }>) =>
    db
      .selectFrom('projects as p')
      .innerJoin('project_members as m', 'm.project_id', 'p.id')
      .where('m.user_id', '=', p.userId)
      .where(sql<boolean>`p.name_key = any(${p.keys}::text[])`)
      .groupBy('p.name_key')
      .select([
        'p.name_key',
        sql<number>`count(*) filter (where m.role = 'owner')`.as('owned'),
        sql<
          string | null
        >`min(p.id::text) filter (where m.role = 'owner' and m.held_name_key = p.name_key)`.as('held')
      ]),
  { pool: 'reads' }
)

/**
 * Returns a row for each of these names (by key) that a project of the user has: the number of such projects
 * that the user owns, and the id of the one that they created, or null.
 */
export function findByName(db: Database, userId: string, keys: readonly string[]) {
  return foundByName(db, { userId, keys })
}

/** Creates a project with the user as its owner, who holds its name. Throws NameTaken. */
export async function insertProject(
  db: Database,
  userId: string,
  project: { id: string; name: string; description: string | null }
): Promise<ProjectRow> {
  try {
    return await db
      .with('p', (q) =>
        q
          .insertInto('projects')
          .values({ ...project, ...nameColumns(project.name) })
          .returning(['id', 'name', 'description', 'created_at', 'updated_at'])
      )
      .with('m', (q) =>
        q
          .insertInto('project_members')
          .values({
            project_id: project.id,
            user_id: userId,
            role: 'owner',
            held_name_key: foldName(project.name)
          })
          .returning('role')
      )
      .selectFrom(['p', 'm'])
      .select(columns)
      .executeTakeFirstOrThrow()
  } catch (error) {
    // The user was deleted in the meantime.
    if (violates(error, 'project_members_user_id_fkey')) throw new Unauthenticated()
    return mapHeldName(error)
  }
}

/** Throws NameTaken if an owner holds the name already, and any other error unchanged. */
function mapHeldName(error: unknown): never {
  throw violates(error, 'project_members_held_name') ? new NameTaken() : error
}

/** Undefined values do not change. */
export interface ProjectChange {
  name: string | undefined
  description: string | null | undefined
}

/**
 * Changes the project of a member. The caller must have locked it: a rename must see the name that the one
 * before it has set. An owner who renames a project becomes the only user who can refer to it by name:
 * otherwise, values that the former holder of the name sends to another project by its name could reach this
 * one. Throws NameTaken, also if the former holder has another project with the name.
 */
export async function updateProject(
  trx: Transaction,
  userId: string,
  id: string,
  { name, description }: ProjectChange
): Promise<ProjectRow> {
  try {
    const { name_key, ...project } = await trx
      .with('before', (q) => q.selectFrom('projects').where('id', '=', id).select('name_key'))
      .with('p', (q) =>
        q
          .updateTable('projects as p')
          .from('project_members as m')
          .set({ ...(name !== undefined && nameColumns(name)), description, updated_at: sql<Date>`now()` })
          .where('p.id', '=', id)
          .whereRef('m.project_id', '=', 'p.id')
          .where('m.user_id', '=', userId)
          .returning(columns)
      )
      .selectFrom(['p', 'before'])
      .select([
        'p.id',
        'p.name',
        'p.description',
        'p.created_at',
        'p.updated_at',
        'p.role',
        'before.name_key'
      ])
      .executeTakeFirstOrThrow()
    const key = foldName(project.name)
    if (key !== name_key) await moveHeldName(trx, id, { key, holderId: userId })
    return project
  } catch (error) {
    return mapHeldName(error)
  }
}

async function moveHeldName(
  trx: Transaction,
  projectId: string,
  { key, holderId }: { key: string; holderId: string }
): Promise<void> {
  const isHolder = sql<boolean>`user_id = ${holderId} and role = 'owner'`
  await trx
    .updateTable('project_members')
    .set({ held_name_key: sql<string | null>`case when ${isHolder} then ${key} end` })
    .where('project_id', '=', projectId)
    .where(sql<boolean>`(held_name_key is not null or ${isHolder})`)
    .execute()
}

/** Returns false if the project does not exist or the user is not an owner. */
export async function deleteProject(db: Database, userId: string, id: string): Promise<boolean> {
  const result = await db
    .deleteFrom('projects as p')
    .using('project_members as m')
    .where('p.id', '=', id)
    .whereRef('m.project_id', '=', 'p.id')
    .where('m.user_id', '=', userId)
    .where('m.role', '=', 'owner')
    .executeTakeFirst()
  return result.numDeletedRows > 0n
}

/** Locks the project and its members against changes. Returns false if the project does not exist. */
export async function lockProject(trx: Transaction, id: string): Promise<boolean> {
  const row = await trx
    .selectFrom('projects')
    .select('id')
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  return row !== undefined
}

/** Locks all projects of which the user is a member. */
export async function lockProjectsOf(trx: Transaction, userId: string): Promise<void> {
  await trx
    .selectFrom('projects')
    .select('id')
    .where('id', 'in', (eb) =>
      eb.selectFrom('project_members').select('project_id').where('user_id', '=', userId)
    )
    .orderBy('id')
    .forUpdate()
    .execute()
}

/**
 * True if the user is the only owner of any project. Reliable only while `lockProjectsOf` holds the locks.
 */
export async function isSoleOwner(trx: Transaction, userId: string): Promise<boolean> {
  const row = await trx
    .selectFrom('project_members as m')
    .select('m.project_id')
    .where('m.user_id', '=', userId)
    .where('m.role', '=', 'owner')
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('project_members as o')
            .select('o.user_id')
            .whereRef('o.project_id', '=', 'm.project_id')
            .where('o.role', '=', 'owner')
            .where('o.user_id', '!=', userId)
        )
      )
    )
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}
