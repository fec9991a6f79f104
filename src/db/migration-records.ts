// Which migrations have run. Version 1.0.0 records its migrations in `kysely_migration`, and does not start
// if it finds others there. So later migrations are in `schema_migrations`, with the oldest version that
// works after them. `kysely_migration` has them too if version 1.0.0 does not work after them.
import { sql } from 'kysely'
import packageJson from '../../package.json' with { type: 'json' }
import type { Transaction } from './database.ts'
import type { MigrationFile } from './migration-files.ts'

const LAST_OF_FIRST_RELEASE = '20261128T100000_adopted_types'
const FIRST_RELEASE = '1.0.0'

/** True for the migrations of version 1.0.0. */
export const isOfFirstRelease = ({ name }: { name: string }) => name <= LAST_OF_FIRST_RELEASE

export interface MigrationState {
  /** The files that have not run, in order. */
  pending: MigrationFile[]
  /** Names of migrations that a later version has run and that this version works with. */
  later: string[]
}

/**
 * Compares the files with the migrations that ran. Throws if this version does not work with the tables, or
 * if migrations are pending that the role cannot run.
 */
export async function readState(trx: Transaction, files: readonly MigrationFile[]): Promise<MigrationState> {
  const ran = await listRan(trx)
  const names = new Set(files.map(({ name }) => name))
  const unknown = [...ran].filter(([name]) => !names.has(name))
  requireCompatible(unknown)
  const pending = files.filter(({ name }) => !ran.has(name))
  if (pending.length > 0 && !(await mayMigrate(trx))) {
    const list = pending.map(({ name }) => name).join(', ')
    throw new Error(`migrations are pending: run "latchkey migrate" as the owner of the tables (${list})`)
  }
  return { pending, later: unknown.map(([name]) => name) }
}

/** Returns the migrations that ran, each with the oldest version that works after it, if that is recorded. */
async function listRan(trx: Transaction): Promise<Map<string, string | null>> {
  const { first, later } = await findTables(trx)
  const ran = new Map<string, string | null>()
  if (first) {
    const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(trx)
    for (const { name } of rows) ran.set(name, null)
  }
  if (later) {
    const { rows } = await sql<{ name: string; min_version: string }>`
      select name, min_version from schema_migrations`.execute(trx)
    for (const { name, min_version } of rows) ran.set(name, min_version)
  }
  return ran
}

function requireCompatible(unknown: readonly [string, string | null][]): void {
  const versions = unknown.flatMap(([, version]) => version ?? []).sort(compareVersions)
  const needed = versions.at(-1)
  if (needed !== undefined && compareVersions(needed, packageJson.version) > 0)
    throw new Error(
      `this database was migrated by a later version, and needs Latchkey ${needed} or later; ` +
        `this is ${packageJson.version}`
    )
  const unrecorded = unknown.filter(([, version]) => version === null).map(([name]) => name)
  if (unrecorded.length > 0)
    throw new Error(`the database has migrations that are unknown to this version: ${unrecorded.join(', ')}`)
}

/** Compares versions such as 1.10.0. Ignores everything after a hyphen. */
function compareVersions(one: string, other: string): number {
  const [a, b] = [one, other].map((version) => version.replace(/-.*/, '').split('.').map(Number))
  return a!.map((number, index) => number - b![index]!).find((difference) => difference !== 0) ?? 0
}

async function mayMigrate(trx: Transaction): Promise<boolean> {
  const { rows } = await sql<{ may: boolean }>`
    select coalesce(has_table_privilege(to_regclass('kysely_migration'), 'insert'),
      has_schema_privilege(current_schema(), 'create'), false) as may`.execute(trx)
  return rows[0]!.may
}

export async function record(trx: Transaction, file: MigrationFile): Promise<void> {
  await createTables(trx)
  const { name, minVersion = FIRST_RELEASE } = file
  if (!isOfFirstRelease(file))
    await sql`insert into schema_migrations (name, min_version) values (${name}, ${minVersion})`.execute(trx)
  if (isOfFirstRelease(file) || minVersion !== FIRST_RELEASE)
    await sql`insert into kysely_migration (name, timestamp)
      values (${name}, ${new Date().toISOString()})`.execute(trx)
}

/** Creates the tables of records where they are missing. */
export async function createTables(trx: Transaction): Promise<void> {
  const { first, later } = await findTables(trx)
  // Same definition as in Kysely's Migrator, which version 1.0.0 uses.
  if (!first)
    await sql`create table kysely_migration (
      name varchar(255) primary key, timestamp varchar(255) not null)`.execute(trx)
  if (!later)
    await sql`create table schema_migrations (
      name text collate "C" primary key,
      min_version text collate "C" not null,
      ran_at timestamptz not null default now())`.execute(trx)
}

async function findTables(trx: Transaction): Promise<{ first: boolean; later: boolean }> {
  const { rows } = await sql<{ first: boolean; later: boolean }>`
    select to_regclass('kysely_migration') is not null as first,
      to_regclass('schema_migrations') is not null as later`.execute(trx)
  return rows[0]!
}
