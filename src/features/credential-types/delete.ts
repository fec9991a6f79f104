import { inTransaction } from '../../db/database.ts'
import { violates } from '../../db/sqlstate.ts'
import { NotFound, TypeInUse } from '../../errors.ts'
import type { Services } from '../../plugins/services.ts'
import { countUsages } from './repository.ts'
import * as writes from './write-repository.ts'

/** Throws NotFound, and TypeInUse while a credential is of the type. */
export async function deleteType({ db }: Services, id: string): Promise<void> {
  try {
    // A credential being changed right now may lock the two rows in the other order: then once more.
    if (!(await inTransaction(db, (trx) => writes.deleteType(trx, id)))) throw new NotFound()
  } catch (error) {
    if (!violates(error, 'credentials_type_id_fkey')) throw error
    throw new TypeInUse({ usageCount: await countUsages(db, id) })
  }
}
