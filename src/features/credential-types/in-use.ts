import type { Database } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { TypeInUse } from '../../http/problems.ts'
import { countUsages } from './repository.ts'

const HELD = ['credentials_type_id_fkey', 'credential_keys_field_id_fkey']

/**
 * Throws what a change of the type threw, or TypeInUse with the number of credentials when these are why. The database
 * is not the change's transaction, which has ended.
 */
export async function explainInUse(db: Database, id: string, error: unknown): Promise<never> {
  if (!HELD.some((constraint) => violates(error, constraint))) throw error
  throw new TypeInUse({ usageCount: await countUsages(db, id) })
}
