import { inTransaction } from '../../db/database.ts'
import { LastOwner, NotFound } from '../../http/problems.ts'
import type { Services } from '../../services.ts'
import { lockProjectsOf, ownsAlone } from '../projects/repository.ts'
import { keepAnAdministrator } from './keep-administrator.ts'
import { bequeathTypes, deleteUser as deleteRow, lockUser } from './repository.ts'

/**
 * Deletes a user for an administrator, who gets the user's credential types; gives who it was. Throws NotFound, LastAdministrator,
 * LastOwner and UserOwnsCredentials; then nothing has changed.
 */
export async function deleteUser({ db }: Services, callerId: string, id: string) {
  return inTransaction(db, async (trx) => {
    await keepAnAdministrator(trx, callerId, id)
    const user = await lockUser(trx, id)
    if (!user) throw new NotFound()
    // All of the user's projects, not only those owned: somebody may be making the user an owner and leaving.
    await lockProjectsOf(trx, id)
    if (await ownsAlone(trx, id)) throw new LastOwner()
    await bequeathTypes(trx, id, callerId)
    await deleteRow(trx, id)
    return user
  })
}
