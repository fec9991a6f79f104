import type { Database, Transaction } from '../../db/database.ts'

export interface SealedSigningKey {
  sealed: Buffer
  dataKeyNo: number
}

export async function findSigningKey(db: Database): Promise<SealedSigningKey | undefined> {
  const row = await db.selectFrom('audit_signing_key').select(['sealed', 'data_key_no']).executeTakeFirst()
  return row && { sealed: row.sealed, dataKeyNo: row.data_key_no }
}

/** Does nothing if there is one. */
export async function insertSigningKey(db: Database, { sealed, dataKeyNo }: SealedSigningKey): Promise<void> {
  await db
    .insertInto('audit_signing_key')
    .values({ sealed, data_key_no: dataKeyNo })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
}

/** Replaces what is stored by `to`, unless it is no longer `from`. */
export async function replaceSigningKey(
  trx: Transaction,
  from: SealedSigningKey,
  to: SealedSigningKey
): Promise<void> {
  await trx
    .updateTable('audit_signing_key')
    .set({ sealed: to.sealed, data_key_no: to.dataKeyNo })
    .where('sealed', '=', from.sealed)
    .execute()
}
