import { sql } from 'kysely'
import { dataKeyOf } from '../crypto/keyring.ts'
import type { Transaction } from '../db/database.ts'

/**
 * Reserves the key for this transaction. Returns false if it was used within the last 24 hours. Waits for a
 * concurrent request with the same key.
 */
export async function claimKey(trx: Transaction, principal: string, key: string): Promise<boolean> {
  const inADay = sql<Date>`now() + interval '24 hours'`
  const row = await trx
    .insertInto('idempotency_keys')
    .values({ principal, key, expires_at: inADay })
    .onConflict((conflict) =>
      conflict
        .columns(['principal', 'key'])
        .doUpdateSet({ expires_at: inADay, answer: null, data_key_no: null })
        .where('idempotency_keys.expires_at', '<=', sql<Date>`now()`)
    )
    .returning('key')
    .executeTakeFirst()
  return row !== undefined
}

/** Returns the encrypted response to the request that used the key. */
export async function findAnswer(trx: Transaction, principal: string, key: string): Promise<Buffer> {
  const { answer } = await trx
    .selectFrom('idempotency_keys')
    .select('answer')
    .where('principal', '=', principal)
    .where('key', '=', key)
    .executeTakeFirstOrThrow()
  return answer!
}

/** Stores the encrypted response for a key that this transaction has claimed. */
export async function saveAnswer(
  trx: Transaction,
  principal: string,
  key: string,
  answer: Buffer
): Promise<void> {
  await trx
    .updateTable('idempotency_keys')
    .set({ answer, data_key_no: dataKeyOf(answer) })
    .where('principal', '=', principal)
    .where('key', '=', key)
    .execute()
}
