import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import t from 'tap'
import type { Database } from '../../src/db/database.ts'
import { migrate } from '../../src/db/migrate.ts'
import { foldName } from '../../src/names.ts'
import { startTestApp } from '../helpers/app.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { outcome, PROJECTS } from '../helpers/project-roles.ts'

const MIGRATION = '20261128T093000_held_project_names'
const folder = join(import.meta.dirname, '../../migrations')

async function migrateBefore(db: Database): Promise<void> {
  const names = (await readdir(folder)).map((file) => file.replace(/\.ts$/, '')).sort()
  const before = names.filter((name) => name < MIGRATION)
  const load = async (name: string): Promise<[string, Migration]> => [
    name,
    await import(pathToFileURL(join(folder, `${name}.ts`)).href)
  ]
  const getMigrations = async () => Object.fromEntries(await Promise.all(before.map(load)))
  const { error } = await new Migrator({ db, provider: { getMigrations } }).migrateToLatest()
  if (error) throw error
}

let second = 0

/** Creates a project like the version before the migration. */
async function insertAsBefore(db: Database, owner: string, name: string): Promise<string> {
  const id = randomUUID()
  const at = new Date(Date.UTC(2026, 0, 1, 0, 0, second++))
  await sql`with p as (insert into projects (id, name, name_key, created_at)
      values (${id}, ${name}, ${foldName(name)}, ${at}))
    insert into project_members (project_id, user_id, role, created_at)
      values (${id}, ${owner}, 'owner', ${at})`.execute(db)
  return id
}

t.test('the migration keeps duplicates, and the oldest of them holds the name', async (t) => {
  const { db, drop } = await createTestDatabase({ empty: true })
  t.teardown(drop)
  await migrateBefore(db)
  const [ann, bob] = [randomUUID(), randomUUID()]
  for (const id of [ann, bob])
    await sql`insert into users (id, email, name, name_key, password_hash, role)
      values (${id}, ${`${id}@example.org`}, 'x', 'x', 'x', 'user')`.execute(db)
  const oldest = await insertAsBefore(db, ann, 'Reports')
  const younger = await insertAsBefore(db, ann, 'REPORTS')
  const others = await insertAsBefore(db, bob, 'Reports')
  const given = await insertAsBefore(db, bob, 'Given')
  await sql`insert into project_members (project_id, user_id, role)
    values (${given}, ${ann}, 'owner')`.execute(db)
  await migrate(db)
  const rows = await db
    .selectFrom('project_members')
    .select(['project_id', 'user_id', 'held_name_key'])
    .where('held_name_key', 'is not', null)
    .execute()
  t.same(
    new Set(rows.map((row) => JSON.stringify(row))),
    new Set(
      [
        { project_id: oldest, user_id: ann, held_name_key: 'reports' },
        { project_id: others, user_id: bob, held_name_key: 'reports' },
        { project_id: given, user_id: bob, held_name_key: 'given' }
      ].map((row) => JSON.stringify(row))
    )
  )
  const names = await db.selectFrom('projects').select('name').where('id', '=', younger).execute()
  t.same(names, [{ name: 'REPORTS' }], 'nothing is renamed')
})

t.test('projects created by the previous version work alongside this one', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const { id } = (await ann.post(PROJECTS, { name: 'Reports' })).json
  const duplicate = await insertAsBefore(service.db, ann.person.id, 'Reports')
  t.equal((await ann.get(`${PROJECTS}?search=reports`)).json.total, 2)
  t.equal((await ann.put(`${PROJECTS}/${duplicate}`, { name: 'reports', description: 'x' })).status, 200)
  t.equal((await ann.put(`${PROJECTS}/${duplicate}`, { name: 'Mail' })).status, 200)
  t.same(
    outcome(await ann.post(PROJECTS, { name: 'Mail' })),
    [409, 'name-taken'],
    'the name is held from now on'
  )
  t.same(outcome(await ann.put(`${PROJECTS}/${duplicate}`, { name: 'Reports' })), [409, 'name-taken'])

  // Renames like the previous version.
  await sql`update projects set name = 'News', name_key = 'news' where id = ${id}`.execute(service.db)
  t.same(outcome(await ann.post(PROJECTS, { name: 'News' })), [409, 'name-taken'])
  t.equal((await ann.post(PROJECTS, { name: 'Reports' })).status, 201, 'the old name is free')
})
