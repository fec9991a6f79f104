import { sql } from 'kysely'
import type { Database, Transaction } from '../../db/database.ts'

export interface Holder {
  id: string
  /** Of its values under the key, together. */
  bytes: number
}

/** The next credentials after this id, in the order of their ids, that have values under the data key. */
export async function listHolders(
  db: Database,
  dataKeyNo: number,
  after: string,
  limit: number
): Promise<Holder[]> {
  const { rows } = await sql<Holder>`select credential_id as id, sum(octet_length(value)) as bytes
    from credential_keys
    where data_key_no = ${dataKeyNo} and credential_id > ${after}
    group by credential_id order by credential_id limit ${limit}`.execute(db)
  return rows
}

/** Locks those of the credentials that nobody else has locked, as a change of them does, and gives their revisions. */
export function lockFree(trx: Transaction, ids: readonly string[]) {
  return trx
    .selectFrom('credentials')
    .where(sql<boolean>`id = any(${ids}::uuid[])`)
    .select(['id', 'sealed_revision'])
    .orderBy('id')
    .forNoKeyUpdate()
    .skipLocked()
    .execute()
}

export interface SealedValue {
  credential_id: string
  environment: string
  field_id: string
  value: Buffer
}

/** The values of these credentials that are under the data key. */
export function listValues(
  trx: Transaction,
  ids: readonly string[],
  dataKeyNo: number
): Promise<SealedValue[]> {
  return trx
    .selectFrom('credential_keys')
    .where(sql<boolean>`credential_id = any(${ids}::uuid[])`)
    .where('data_key_no', '=', dataKeyNo)
    .select(['credential_id', 'environment', 'field_id', 'value'])
    .orderBy('credential_id')
    .execute()
}

/** Puts these values, sealed under another data key, in the place of what is there. */
export async function putValues(
  trx: Transaction,
  values: readonly SealedValue[],
  dataKeyNo: number
): Promise<void> {
  await sql`update credential_keys k set value = s.value, data_key_no = ${dataKeyNo}
    from unnest(${values.map((one) => one.credential_id)}::uuid[], ${values.map((one) => one.environment)}::text[],
      ${values.map((one) => one.field_id)}::uuid[], ${values.map((one) => one.value)}::bytea[])
      s(credential_id, environment, field_id, value)
    where k.credential_id = s.credential_id and k.environment = s.environment and k.field_id = s.field_id`.execute(
    trx
  )
}
