import type { Database } from '../../db/database.ts'
import { ValidationFailed } from '../../http/problems.ts'
import { findTypeByName, type TypeWithFields } from '../credential-types/repository.ts'
import { getCached, loadType } from '../credential-types/type-cache.ts'

/**
 * Finds the type that a new credential is of; throws what there is to say when there is none. Not `fresh`, it may be as it
 * was a while ago.
 */
export type FindType = (db: Database, fresh: boolean) => Promise<TypeWithFields>

/** The type of this id; throws ValidationFailed. */
export function typeById(id: string): FindType {
  return async (db, fresh) => {
    const type = (fresh ? undefined : getCached(db, id)) ?? (await loadType(db, id))
    if (type) return type
    const message = 'There is no credential type of this id.'
    throw new ValidationFailed({
      errors: [{ path: '/body/credentialTypeId', code: 'unknown-type', message }]
    })
  }
}

/** The type of this name without regard to case, or what `refuse` throws. */
export function typeByName(name: string, refuse: () => never): FindType {
  return async (db) => (await findTypeByName(db, name)) ?? refuse()
}
