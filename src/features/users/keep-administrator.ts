import { lockName, type Transaction } from '../../db/database.ts'
import { Forbidden, LastAdministrator } from '../../http/problems.ts'
import { countAdministrators } from './repository.ts'

/**
 * To be called before this user ceases to be an administrator who may sign in: throws LastAdministrator when no other
 * would be left. Those who do it at once wait for each other; a caller who was demoted meanwhile is Forbidden.
 */
export async function keepAnAdministrator(trx: Transaction, callerId: string, userId: string): Promise<void> {
  await lockName(trx, 'administrators')
  const { others, callerIsOne } = await countAdministrators(trx, callerId, userId)
  if (!callerIsOne) throw new Forbidden()
  if (others === 0) throw new LastAdministrator()
}
