import { sql } from 'kysely'
import type { Database, Transaction } from '../db/database.ts'
import { GRANTS } from '../db/grants.ts'
import type { Table } from './manifest.ts'

/** Migrations write their rows. */
const RECORDS = new Set(['kysely_migration', 'schema_migrations'])
const NAMES = Object.keys(GRANTS).filter((name) => !RECORDS.has(name))

/**
 * Returns the existing tables of the service, each after the tables that it references, without the
 * partitions of others.
 */
export async function listTables(db: Database): Promise<Table[]> {
  const { rows } = await sql<Table & { parents: string[] }>`
    select c.relname as name,
      array(select attname::text from pg_attribute
        where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = ''
        order by attnum) as columns,
      array(select distinct p.relname::text from pg_constraint join pg_class p on p.oid = confrelid
        where conrelid = c.oid and contype = 'f' and confrelid <> c.oid) as parents
    from unnest(${NAMES}::text[]) name join pg_class c on c.oid = to_regclass(name)
    where c.relkind in ('r', 'p') and not c.relispartition
    order by 1`.execute(db)
  const sorted = new Map<string, Table>()
  while (sorted.size < rows.length) {
    const next = rows.find((row) => !sorted.has(row.name) && row.parents.every((name) => sorted.has(name)))
    if (!next) throw new Error('tables refer to each other in a circle')
    sorted.set(next.name, { name: next.name, columns: next.columns })
  }
  return [...sorted.values()]
}

/** Returns the name of a table that has rows, or undefined. */
export async function findFilled(db: Database): Promise<string | undefined> {
  for (const { name } of await listTables(db)) {
    const { rows } = await sql`select from ${sql.table(name)} limit 1`.execute(db)
    if (rows.length > 0) return name
  }
  return undefined
}

/** Returns the names of the migrations that have run, in order; none if there are no tables. */
export async function listMigrations(db: Database): Promise<string[]> {
  const { rows: tables } = await sql<{ name: string }>`
    select name from unnest(${[...RECORDS]}::text[]) name where to_regclass(name) is not null`.execute(db)
  const names = new Set<string>()
  for (const table of tables) {
    const { rows } = await sql<{ name: string }>`select name from ${sql.table(table.name)}`.execute(db)
    for (const { name } of rows) names.add(name)
  }
  return [...names].sort()
}

/** Returns the version of Postgres, and the time at which the transaction began. */
export async function serverState(trx: Transaction): Promise<{ version: string; now: Date }> {
  const { rows } = await sql<{ version: string; now: Date }>`
    select current_setting('server_version') as version, now() as now`.execute(trx)
  return rows[0]!
}

const list = ({ columns }: Table) => columns.map((column) => `"${column}"`).join(', ')

/** A partitioned table can be copied only by a query. */
export const copyOutOf = (table: Table) => `copy (select ${list(table)} from "${table.name}") to stdout`

export const copyInto = (table: Table) => `copy "${table.name}" (${list(table)}) from stdin`

/** Disables or enables the triggers of the tables. Locks out other writers until the transaction ends. */
export async function setTriggers(trx: Transaction, tables: readonly Table[], on: boolean): Promise<void> {
  for (const { name } of tables)
    await sql`alter table ${sql.table(name)} ${sql.raw(on ? 'enable' : 'disable')} trigger user`.execute(trx)
}

export async function endSessions(trx: Transaction): Promise<void> {
  await trx.deleteFrom('sessions').execute()
}

/** Updates the statistics, so that the first queries get good plans. */
export async function analyze(db: Database): Promise<void> {
  for (const { name } of await listTables(db)) await sql`analyze ${sql.table(name)}`.execute(db)
}
