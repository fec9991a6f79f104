import { sql } from 'kysely'
import { type Database, lockName, type Transaction } from '../../db/database.ts'

/** Serializes all changes of data keys, in all processes. */
export function lockDataKeys(trx: Transaction): Promise<void> {
  return lockName(trx, 'data-keys')
}

/** All data keys by number: the current one, and the retired ones that are not destroyed. */
export function listDataKeys(db: Database) {
  return db
    .selectFrom('data_keys')
    .select(['number', 'wrapped', 'root_key_fingerprint', 'created_at', 'retired_at'])
    .orderBy('number')
    .execute()
}

/** Also empty if there are no tables, or if the role may not read them. */
export async function listRootKeyFingerprints(db: Database): Promise<string[]> {
  const { rows: tables } = await sql`
    select where has_table_privilege(to_regclass('data_keys'), 'select')`.execute(db)
  if (tables.length === 0) return []
  const rows = await db
    .selectFrom('data_keys')
    .select('root_key_fingerprint')
    .distinct()
    .orderBy('root_key_fingerprint')
    .execute()
  return rows.map((row) => row.root_key_fingerprint)
}

export type DataKeyRow = Awaited<ReturnType<typeof listDataKeys>>[number]

/** A data key with its time of retirement; `due` says that this is more than `seconds` ago. */
export function findRetirement(trx: Transaction, number: number, seconds: number) {
  return trx
    .selectFrom('data_keys')
    .where('number', '=', number)
    .select(['retired_at', sql<boolean>`retired_at < now() - make_interval(secs => ${seconds})`.as('due')])
    .executeTakeFirst()
}

export async function isCurrent(db: Database, number: number): Promise<boolean> {
  const row = await db
    .selectFrom('data_keys')
    .where('number', '=', number)
    .where('retired_at', 'is', null)
    .select('number')
    .executeTakeFirst()
  return row !== undefined
}

/** Returns the number of the current data key if it is older than this number of days. */
export async function findCurrentOlderThan(db: Database, days: number): Promise<number | undefined> {
  const row = await db
    .selectFrom('data_keys')
    .where('retired_at', 'is', null)
    .where(sql<boolean>`created_at < now() - make_interval(days => ${days})`)
    .select('number')
    .executeTakeFirst()
  return row?.number
}

export interface WrappedKey {
  wrapped: Buffer
  rootKeyFingerprint: string
}

export async function insertDataKey(trx: Transaction, key: WrappedKey & { number: number }): Promise<void> {
  await trx
    .insertInto('data_keys')
    .values({ number: key.number, wrapped: key.wrapped, root_key_fingerprint: key.rootKeyFingerprint })
    .execute()
}

/** Replaces the wrapping `from` by `to`. Returns false if another process has replaced it already. */
export async function rewrapDataKey(
  trx: Transaction,
  number: number,
  from: Buffer,
  to: WrappedKey
): Promise<boolean> {
  const result = await trx
    .updateTable('data_keys')
    .set({ wrapped: to.wrapped, root_key_fingerprint: to.rootKeyFingerprint })
    .where('number', '=', number)
    .where('wrapped', '=', from)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

export async function retireDataKey(trx: Transaction, number: number): Promise<void> {
  await trx
    .updateTable('data_keys')
    .set({ retired_at: sql<Date>`now()` })
    .where('number', '=', number)
    .execute()
}

export async function deleteDataKey(trx: Transaction, number: number): Promise<void> {
  await trx.deleteFrom('data_keys').where('number', '=', number).execute()
}

export interface KeyUses {
  number: number
  /** Credential values, and the key that signs the ends of the audit log. */
  values: number
  /** Responses stored for idempotency keys. */
  answers: number
}

/**
 * Counts the rows that use each data key, or the one with this number. With `limit`, counts no further per
 * key and table, so that the cost does not grow with the database.
 */
export async function countUses(
  db: Database,
  { number = null, limit = null }: { number?: number | null; limit?: number | null } = {}
): Promise<KeyUses[]> {
  const count = (table: string) => sql<number>`(select count(*) from (
    select from ${sql.table(table)} where data_key_no = d.number limit ${limit}::bigint) rows)`
  const { rows } = await sql<KeyUses>`select d.number,
      ${count('credential_keys')} + ${count('audit_signing_key')} as values,
      ${count('idempotency_keys')} as answers
    from data_keys d where ${number}::int is null or d.number = ${number} order by d.number`.execute(db)
  return rows
}
