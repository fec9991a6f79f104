import type { Database } from '../../db/database.ts'
import { findTypeWithFields, type TypeWithFields } from './repository.ts'

const MAX_KEPT = 1_000
const kept = new WeakMap<Database, Map<string, TypeWithFields>>()

function typesOf(db: Database): Map<string, TypeWithFields> {
  const types = kept.get(db) ?? new Map<string, TypeWithFields>()
  kept.set(db, types)
  return types
}

/**
 * The type at this revision, which a statement has just seen: kept from before, or read. When it was changed since, as
 * it is now; undefined when it is gone. `db` is the service's own, no transaction.
 */
export async function typeAt(
  db: Database,
  id: string,
  revision: number
): Promise<TypeWithFields | undefined> {
  const known = typesOf(db).get(id)
  return known?.revision === revision ? known : readType(db, id)
}

/** The type as it was when it was last read, which may be a while ago: for who checks its revision when writing. */
export function typeOnceRead(db: Database, id: string): TypeWithFields | undefined {
  return typesOf(db).get(id)
}

/** The type as it is now, kept for the next. */
export async function readType(db: Database, id: string): Promise<TypeWithFields | undefined> {
  const types = typesOf(db)
  const type = await findTypeWithFields(db, id)
  types.delete(id)
  if (type) {
    if (types.size >= MAX_KEPT) types.delete(types.keys().next().value!)
    types.set(id, type)
  }
  return type
}
