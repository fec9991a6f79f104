import { record, systemOrigin } from '../../audit/record.ts'
import { hashPassword } from '../../crypto/passwords.ts'
import { type Database, inTransaction, lockName, type Transaction } from '../../db/database.ts'
import { LastAdministrator, LastOwner, NotFound } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'
import { revokeTokensOf } from '../access-tokens/repository.ts'
import { isSoleOwner, lockProjectsOf } from '../projects/repository.ts'
import { deleteSessionsOf } from '../session/repository.ts'
import { userEvent } from './events.ts'
import * as repository from './repository.ts'

/**
 * Changes a user. A new password ends their sessions; disabling ends their sessions and tokens. Throws
 * NotFound, EmailTaken, LastAdministrator.
 */
export async function changeUser(
  trx: Transaction,
  id: string,
  values: repository.UserValues
): Promise<repository.UserRow> {
  if (values.role === 'user' || values.disabled) await requireOtherAdministrator(trx, id)
  const user = await repository.updateUser(trx, id, values)
  if (!user) throw new NotFound()
  if (values.disabled || values.passwordHash !== undefined) await deleteSessionsOf(trx, id)
  if (values.disabled) await revokeTokensOf(trx, id)
  return user
}

/**
 * Deletes a user and moves their credential types to the administrator who calls. Throws NotFound,
 * LastAdministrator, LastOwner and UserOwnsCredentials.
 */
export async function deleteUser(trx: Transaction, callerId: string, id: string) {
  await requireOtherAdministrator(trx, id)
  const user = await repository.lockUser(trx, id)
  if (!user) throw new NotFound()
  // Not only the projects that the user owns: another owner may be promoting the user and leaving.
  await lockProjectsOf(trx, id)
  if (await isSoleOwner(trx, id)) throw new LastOwner()
  await repository.reassignTypes(trx, id, callerId)
  await repository.deleteUser(trx, id)
  return user
}

/** Serializes the changes of users by administrators, until the transaction ends. */
export function lockAdministrators(trx: Transaction): Promise<void> {
  return lockName(trx, 'administrators')
}

/**
 * Throws LastAdministrator if no enabled administrator other than this user exists. Reliable only after
 * `lockAdministrators`.
 */
async function requireOtherAdministrator(trx: Transaction, userId: string): Promise<void> {
  if ((await repository.countOtherAdministrators(trx, userId)) === 0) throw new LastAdministrator()
}

/**
 * Creates the first administrator if there are no users yet. Returns false if there are. Safe to run on all
 * replicas.
 */
export async function ensureAdministrator(
  db: Database,
  { email, password }: { email: string; password: string }
): Promise<boolean> {
  if (await repository.hasUsers(db)) return false
  const password_hash = await hashPassword(password)
  return inTransaction(db, async (trx) => {
    await lockName(trx, 'first-administrator')
    if (await repository.hasUsers(trx)) return false
    const row = await repository.insertUser(trx, {
      id: uuidv7(),
      email,
      name: 'Administrator',
      password_hash,
      role: 'admin'
    })
    await record(trx, systemOrigin('service'), [userEvent('user.created', row, { role: row.role })])
    return true
  })
}

/** The user who was created first, with the hash of their password. */
export const findFirstAccount = (db: Database) => repository.findFirstAccount(db)

/** Returns false if there are no users yet. */
export const hasUsers = (db: Database) => repository.hasUsers(db)
