import { record, systemOrigin } from '../../audit/record.ts'
import { hashPassword } from '../../crypto/passwords.ts'
import { type Database, inTransaction } from '../../db/database.ts'
import type { UserRole } from '../../db/tables.ts'
import { uuidv7 } from '../../ids.ts'
import { userEvent } from './events.ts'
import * as repository from './repository.ts'
import * as service from './service.ts'

// Changes of users by the operator on the command line. The rules are those for an administrator. The actor
// of the audit events is the system.
const operator = systemOrigin('command line')

export class UnknownUser extends Error {
  constructor(email: string) {
    super(`there is no user with the e-mail address ${email}`)
    this.name = 'UnknownUser'
  }
}

/** All users, oldest first. */
export const listAllUsers = repository.listAllUsers

/** Throws EmailTaken. */
export async function createUser(
  db: Database,
  { password, ...user }: { email: string; name: string; role: UserRole; password: string }
): Promise<repository.UserRow> {
  const password_hash = await hashPassword(password)
  return inTransaction(db, async (trx) => {
    const row = await repository.insertUser(trx, { id: uuidv7(), ...user, password_hash })
    await record(trx, operator, [userEvent('user.created', row, { role: row.role })])
    return row
  })
}

/** Sets another password, and ends the sessions of the user. Throws UnknownUser. */
export async function resetPassword(
  db: Database,
  email: string,
  password: string
): Promise<repository.UserRow> {
  const passwordHash = await hashPassword(password)
  return change(db, email, { passwordHash }, { changed: ['password'] })
}

/** Disabling ends the sessions and tokens of the user. Throws UnknownUser, LastAdministrator. */
export function setDisabled(db: Database, email: string, disabled: boolean): Promise<repository.UserRow> {
  return change(db, email, { disabled, passwordHash: undefined }, { changed: ['disabled'], disabled })
}

function change(
  db: Database,
  email: string,
  values: repository.UserValues,
  details: Parameters<typeof userEvent>[2]
): Promise<repository.UserRow> {
  return inTransaction(db, async (trx) => {
    await service.lockAdministrators(trx)
    const id = await repository.findIdByEmail(trx, email)
    if (id === undefined) throw new UnknownUser(email)
    const row = await service.changeUser(trx, id, values)
    await record(trx, operator, [userEvent('user.updated', row, details)])
    return row
  })
}
