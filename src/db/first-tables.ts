import { sql } from 'kysely'
import type { Database } from './database.ts'

/**
 * Throws an error that says what to grant, if there are no tables and the role of `db` cannot create them, or
 * if the role cannot read which migrations ran.
 */
export async function requireFirstTables(db: Database): Promise<void> {
  const { rows: unread } = await sql<{ role: string }>`
    select current_user as role
    where not has_table_privilege(to_regclass('kysely_migration'), 'select')`.execute(db)
  if (unread[0]) {
    const { role } = unread[0]
    throw new Error(
      `the role ${role} has no rights on the tables: run "latchkey migrate --grant-to ${role}" as their owner`
    )
  }
  const { rows } = await sql<{ role: string; database: string; schema: string | null; may: boolean }>`
    select quote_ident(current_user) as role, quote_ident(current_database()) as database,
      quote_ident(current_schema()) as schema,
      coalesce(has_schema_privilege(current_schema(), 'create'), false) as may
    where to_regclass('kysely_migration') is null`.execute(db)
  const [found] = rows
  if (!found || found.may) return
  const { role, database, schema } = found
  throw new Error(
    `the role ${role} cannot create the tables: run "latchkey migrate" as their owner, or ` +
      (schema === null
        ? `set its search_path: it names no schema in the database ${database} that the role can use`
        : `run "grant create on schema ${schema} to ${role}" in the database ${database}`)
  )
}
