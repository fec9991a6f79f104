import { sql } from 'kysely'
import { type Origin, record } from '../../audit/record.ts'
import { type Database, inTransaction, lockName } from '../../db/database.ts'
import { isDatabaseError } from '../../db/errors.ts'
import { keyEvent } from './events.ts'
import { DATA_KEYS_LOCK } from './open-keyring.ts'
import { countNamed, deleteDataKey, type NamedBy } from './repository.ts'

/** So long after its retirement every replica that can read the database has learned of it, many times over. */
export const LEARNED_SECONDS = 60

/** Why a data key cannot be destroyed, for the operator. */
export class KeyNotDestroyed extends Error {
  constructor(number: number, why: string) {
    super(`data key ${number} is not destroyed: ${why}`)
    this.name = 'KeyNotDestroyed'
  }
}

/**
 * Deletes a data key that was retired at least `retiredForSeconds` ago (never less than LEARNED_SECONDS) and that no row
 * names. Throws KeyNotDestroyed, having changed nothing, when that is not so. It cannot be undone.
 */
export async function destroyDataKey(
  db: Database,
  number: number,
  origin: Origin,
  retiredForSeconds = 0
): Promise<void> {
  const refuse = (why: string) => {
    throw new KeyNotDestroyed(number, why)
  }
  const seconds = Math.max(retiredForSeconds, LEARNED_SECONDS)
  try {
    await inTransaction(db, async (trx) => {
      await lockName(trx, DATA_KEYS_LOCK)
      const row = await trx
        .selectFrom('data_keys')
        .where('number', '=', number)
        .select([
          'retired_at',
          sql<boolean>`retired_at < now() - make_interval(secs => ${seconds})`.as('due')
        ])
        .executeTakeFirst()
      if (!row) return refuse('there is none of that number')
      if (!row.retired_at) return refuse('it is the current one; rotate first')
      if (!row.due) return refuse(`it was retired less than ${seconds} seconds ago`)
      const [{ values, answers }] = (await countNamed(trx, { number })) as [NamedBy]
      if (values + answers > 0) return refuse(namedBy(values, answers))
      await deleteDataKey(trx, number)
      await record(trx, origin, [keyEvent('destroyed', number)])
    })
  } catch (error) {
    // Named between the count and the deletion, by a replica that does not know of its retirement.
    if (isDatabaseError(error) && error.code === '23503') refuse('a value has been sealed under it just now')
    throw error
  }
}

function namedBy(values: number, answers: number): string {
  const parts = [
    values > 0 && `${values} ${values === 1 ? 'value is' : 'values are'} still sealed under it`,
    answers > 0 &&
      `${answers} kept ${answers === 1 ? 'answer is' : 'answers are'} (of the Idempotency-Keys of the last 24 hours)`
  ]
  return parts.filter(Boolean).join(', ')
}
