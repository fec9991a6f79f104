import type { Database } from '../../db/database.ts'
import { ValidationFailed } from '../../errors.ts'
import { findTypeByName, findTypeWithFields, type TypeWithFields } from '../credential-types/repository.ts'

/** Finds the type that a new credential is of, as it is now; throws what there is to say when there is none. */
export type FindType = (db: Database) => Promise<TypeWithFields>

/** The type of this id; throws ValidationFailed. */
export function typeById(id: string): FindType {
  return async (db) => {
    const type = await findTypeWithFields(db, id)
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
