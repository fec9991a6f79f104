import { sql } from 'kysely'
import type { Database, Transaction } from '../../db/database.ts'

/** All data keys by number: the current one, and the retired ones that are not destroyed yet. */
export function listDataKeys(db: Database) {
  return db
    .selectFrom('data_keys')
    .select(['number', 'wrapped', 'root_key_fingerprint', 'created_at', 'retired_at'])
    .orderBy('number')
    .execute()
}

export type DataKeyRow = Awaited<ReturnType<typeof listDataKeys>>[number]

export async function insertDataKey(
  trx: Transaction,
  key: { number: number; wrapped: Buffer; rootKeyFingerprint: string }
): Promise<void> {
  await trx
    .insertInto('data_keys')
    .values({ number: key.number, wrapped: key.wrapped, root_key_fingerprint: key.rootKeyFingerprint })
    .execute()
}

/** Puts a new wrapping in the place of this one; gives false when it is not this one any more. */
export async function rewrapDataKey(
  trx: Transaction,
  number: number,
  from: Buffer,
  to: { wrapped: Buffer; rootKeyFingerprint: string }
): Promise<boolean> {
  const result = await trx
    .updateTable('data_keys')
    .set({ wrapped: to.wrapped, root_key_fingerprint: to.rootKeyFingerprint })
    .where('number', '=', number)
    .where('wrapped', '=', from)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** The number of the current data key if it was made more than so many days ago. */
export async function findCurrentOlderThan(db: Database, days: number): Promise<number | undefined> {
  const row = await db
    .selectFrom('data_keys')
    .where('retired_at', 'is', null)
    .where(sql<boolean>`created_at < now() - make_interval(days => ${days})`)
    .select('number')
    .executeTakeFirst()
  return row?.number
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

export interface NamedBy {
  number: number
  /** Values of credentials. */
  values: number
  /** Answers that are kept for an Idempotency-Key. */
  answers: number
}

/**
 * How many rows name each data key, or this one; counted up to `atMost` a key and table, if given: then it costs the
 * same on any database.
 */
export async function countNamed(
  db: Database,
  { number = null, atMost = null }: { number?: number | null; atMost?: number | null } = {}
): Promise<NamedBy[]> {
  const { rows } = await sql<NamedBy>`select d.number,
      (select count(*) from (select from credential_keys where data_key_no = d.number limit ${atMost}::bigint) v)
        as values,
      (select count(*) from (select from idempotency_keys where data_key_no = d.number limit ${atMost}::bigint) a)
        as answers
    from data_keys d where ${number}::int is null or d.number = ${number} order by d.number`.execute(db)
  return rows
}
