import type { Transaction } from '../../db/database.ts'
import { NotFound } from '../../http/problems.ts'
import { linkEvents } from '../credentials/events.ts'
import { unlinkAll } from '../credentials/repositories/link-repository.ts'
import { deleteProject as deleteRow } from './repository.ts'

/**
 * Deletes a project of which the caller is an owner, with its links and tokens, not the credentials; gives an event for
 * each credential that was linked to it, so that its owner sees it. Throws NotFound.
 */
export async function deleteProject(trx: Transaction, callerId: string, id: string) {
  // The credentials first, as everywhere: two that lock in one order do not wait for each other.
  const credentials = await unlinkAll(trx, id)
  if (!(await deleteRow(trx, callerId, id))) throw new NotFound()
  return credentials.flatMap((credential) => linkEvents(credential, { added: [], removed: [id] }))
}
