import { inTransaction } from '../../db/database.ts'
import { NotFound } from '../../http/problems.ts'
import type { Services } from '../../services.ts'
import * as writes from './write-repository.ts'

/** Throws NotFound, and the foreign key's violation while a credential is of the type: see `explainInUse`. */
export async function deleteType({ db }: Services, id: string): Promise<void> {
  // A credential being changed right now may lock the two rows in the other order: then once more.
  if (!(await inTransaction(db, (trx) => writes.deleteType(trx, id)))) throw new NotFound()
}
