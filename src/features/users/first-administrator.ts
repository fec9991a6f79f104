import { hashPassword } from '../../crypto/passwords.ts'
import { type Database, inTransaction, lockName } from '../../db/database.ts'
import { uuidv7 } from '../../ids.ts'

/**
 * Makes the administrator who makes everybody else, if there is no user at all; gives whether it did. Replicas that
 * start together make one.
 */
export async function ensureAdministrator(
  db: Database,
  { email, password }: { email: string; password: string }
) {
  if (await hasUsers(db)) return false
  const passwordHash = await hashPassword(password)
  return inTransaction(db, async (trx) => {
    await lockName(trx, 'first-administrator')
    if (await hasUsers(trx)) return false
    await trx
      .insertInto('users')
      .values({ id: uuidv7(), email, name: 'Administrator', password_hash: passwordHash, role: 'admin' })
      .execute()
    return true
  })
}

export async function hasUsers(db: Database): Promise<boolean> {
  const row = await db.selectFrom('users').select('id').limit(1).executeTakeFirst()
  return row !== undefined
}
