import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import type { Test } from 'tap'
import type { Database } from '../../src/db/database.ts'
import type { TestApp } from './app.ts'
import { runCli } from './cli.ts'
import { createTestDatabase } from './database.ts'

/** Creates a directory for backups, which is removed when the test ends. */
export async function newBackupDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-backup-'))
  await chmod(directory, 0o755)
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** Runs `latchkey` on a database with the root keys of a service. */
export const onDatabase =
  (url: string, { rootKeyList }: Pick<TestApp, 'rootKeyList'>, input?: Uint8Array) =>
  (...words: string[]) =>
    runCli({ DATABASE_URL: url, LATCHKEY_ROOT_KEYS: rootKeyList }, words, input && { input })

/** Creates a database without tables. */
export async function emptyDatabase(t: Test) {
  const database = await createTestDatabase({ empty: true })
  t.teardown(database.drop)
  return database
}

export async function tablesIn(db: Database): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
      and relname not in ('kysely_migration', 'schema_migrations')
    order by 1`.execute(db)
  return rows.map(({ name }) => name)
}

/** Returns the number of rows of each table, and a digest of them. */
export async function contentOf(db: Database): Promise<Record<string, string>> {
  const content: Record<string, string> = {}
  for (const table of await tablesIn(db)) {
    const { rows } = await sql<{ content: string }>`
      select count(*) || ' ' || coalesce(md5(string_agg(r::text, e'\n' order by r::text)), '') as content
      from ${sql.table(table)} r`.execute(db)
    content[table] = rows[0]!.content
  }
  return content
}

/** Lists what the database enforces: its triggers, constraints and indexes. */
export async function rulesOf(db: Database): Promise<string[]> {
  const { rows } = await sql<{ rule: string }>`
    select t.tgrelid::regclass || ' ' || t.tgenabled::text || ' ' || pg_get_triggerdef(t.oid) as rule
      from pg_trigger t join pg_class c on c.oid = t.tgrelid
      where c.relnamespace = 'public'::regnamespace and not tgisinternal
    union all select c.relname || ' internal ' || t.tgenabled::text || ' ' || count(*)
      from pg_trigger t join pg_class c on c.oid = t.tgrelid
      where c.relnamespace = 'public'::regnamespace and tgisinternal group by c.relname, t.tgenabled
    union all select conrelid::regclass || ' ' || convalidated::text || ' ' || pg_get_constraintdef(oid)
      from pg_constraint where connamespace = 'public'::regnamespace
    union all select indexdef from pg_indexes where schemaname = 'public'
    order by 1`.execute(db)
  return rows.map(({ rule }) => rule)
}

/** Lists the files that interrupted backups left behind. */
export const partsIn = async (directory: string) =>
  (await readdir(directory)).filter((name) => name.endsWith('.part'))
