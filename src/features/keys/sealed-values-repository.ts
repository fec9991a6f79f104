import { type Selectable, sql } from 'kysely'
import type { Database, Transaction } from '../../db/database.ts'
import type { Tables } from '../../db/tables.ts'

export interface CredentialSize {
  id: string
  /** The size of all its values under the data key. */
  bytes: number
}

/** The next credentials after this id, in the order of ids, that have values under the data key. */
export async function listCredentialsUnderKey(
  db: Database,
  dataKeyNo: number,
  after: string,
  limit: number
): Promise<CredentialSize[]> {
  const { rows } = await sql<CredentialSize>`select credential_id as id, sum(octet_length(value)) as bytes
    from credential_keys
    where data_key_no = ${dataKeyNo} and credential_id > ${after}
    group by credential_id order by credential_id limit ${limit}`.execute(db)
  return rows
}

/** Locks the credentials as an update does, except those that another transaction has locked. */
export function lockSkipLocked(trx: Transaction, ids: readonly string[]) {
  return trx
    .selectFrom('credentials')
    .where(sql<boolean>`id = any(${ids}::uuid[])`)
    .select(['id', 'sealed_revision'])
    .orderBy('id')
    .forNoKeyUpdate()
    .skipLocked()
    .execute()
}

export type SealedValue = Omit<Selectable<Tables['credential_keys']>, 'data_key_no'>

export function listValuesUnderKey(
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

/** Replaces the stored values by these, which are sealed under `dataKeyNo`. */
export async function updateValues(
  trx: Transaction,
  values: readonly SealedValue[],
  dataKeyNo: number
): Promise<void> {
  const column = (name: keyof SealedValue) => values.map((value) => value[name])
  await sql`update credential_keys k set value = s.value, data_key_no = ${dataKeyNo}
    from unnest(${column('credential_id')}::uuid[], ${column('environment')}::text[],
      ${column('field_id')}::uuid[], ${column('value')}::bytea[])
      s(credential_id, environment, field_id, value)
    where k.credential_id = s.credential_id and k.environment = s.environment
      and k.field_id = s.field_id`.execute(trx)
}

export type ValuePlace = Pick<SealedValue, 'credential_id' | 'environment' | 'field_id'>

const FIRST: ValuePlace = {
  credential_id: '00000000-0000-0000-0000-000000000000',
  environment: '',
  field_id: '00000000-0000-0000-0000-000000000000'
}

/** Returns the values after this one in the order of the primary key, with what they were sealed for. */
export async function listValuesAfter(
  db: Database,
  { credential_id, environment, field_id }: ValuePlace = FIRST,
  limit: number
): Promise<(SealedValue & { sealed_revision: number })[]> {
  const { rows } = await sql<SealedValue & { sealed_revision: number }>`
    select k.credential_id, k.environment, k.field_id, k.value, c.sealed_revision
    from credential_keys k
    cross join lateral (select sealed_revision from credentials where id = k.credential_id offset 0) c
    where (k.credential_id, k.environment, k.field_id) >
      (${credential_id}::uuid, ${environment}::text, ${field_id}::uuid)
    order by k.credential_id, k.environment, k.field_id limit ${limit}`.execute(db)
  return rows
}
