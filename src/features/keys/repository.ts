import type { Database, Transaction } from '../../db/database.ts'

export function listDataKeys(db: Database) {
  return db
    .selectFrom('data_keys')
    .select(['number', 'wrapped', 'root_key_fingerprint', 'retired_at'])
    .orderBy('number')
    .execute()
}

export async function insertDataKey(
  trx: Transaction,
  key: { number: number; wrapped: Buffer; rootKeyFingerprint: string }
): Promise<void> {
  await trx
    .insertInto('data_keys')
    .values({ number: key.number, wrapped: key.wrapped, root_key_fingerprint: key.rootKeyFingerprint })
    .execute()
}
