import { type Origin, record } from '../../audit/record.ts'
import { type Database, inTransaction } from '../../db/database.ts'
import { isDatabaseError } from '../../db/errors.ts'
import { keyEvent } from './data-keys.ts'
import { countUses, deleteDataKey, findRetirement, lockDataKeys } from './repository.ts'

/** Long enough for every replica that can read the database to have seen the retirement. */
const MIN_RETIRED_SECONDS = 60

/** A data key cannot be destroyed; the message tells the operator why. */
export class KeyNotDestroyed extends Error {
  constructor(number: number, reason: string) {
    super(`data key ${number} was not destroyed: ${reason}`)
    this.name = 'KeyNotDestroyed'
  }
}

/**
 * Deletes a data key for ever. It must have been retired at least `retiredForSeconds` ago (at least a minute
 * in any case), and no row may use it. Throws KeyNotDestroyed otherwise, having changed nothing.
 */
export async function destroyDataKey(
  db: Database,
  number: number,
  origin: Origin,
  retiredForSeconds = 0
): Promise<void> {
  const seconds = Math.max(retiredForSeconds, MIN_RETIRED_SECONDS)
  try {
    await inTransaction(db, async (trx) => {
      await lockDataKeys(trx)
      const row = await findRetirement(trx, number, seconds)
      if (!row) throw new KeyNotDestroyed(number, 'it does not exist')
      if (!row.retired_at) throw new KeyNotDestroyed(number, 'it is the current one; run "keys rotate" first')
      if (!row.due) throw new KeyNotDestroyed(number, `it was retired less than ${seconds} seconds ago`)
      const [uses] = await countUses(trx, { number })
      const reason = describeUses(uses!)
      if (reason) throw new KeyNotDestroyed(number, reason)
      await deleteDataKey(trx, number)
      await record(trx, origin, [keyEvent('destroyed', number)])
    })
  } catch (error) {
    // A replica that does not know of the retirement has used it between the count and the deletion.
    const isUsed = isDatabaseError(error) && error.code === '23503'
    throw isUsed ? new KeyNotDestroyed(number, 'a value has just been encrypted with it') : error
  }
}

function describeUses({ values, answers }: { values: number; answers: number }): string | undefined {
  const parts = []
  if (values > 0) parts.push(`${values} ${values === 1 ? 'value' : 'values'}`)
  if (answers > 0) {
    const stored = `${answers} stored ${answers === 1 ? 'response' : 'responses'}`
    parts.push(`${stored} to requests with an Idempotency-Key in the last 24 hours`)
  }
  return parts.length === 0 ? undefined : `it still encrypts ${parts.join(' and ')}`
}
