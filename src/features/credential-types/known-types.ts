import type { Database } from '../../db/database.ts'
import { Recent } from '../../recent.ts'
import { findTypeWithFields, type TypeWithFields } from './repository.ts'

/** Characters of JSON, of all kept types together. */
const MAX_KEPT = 8 * 1024 * 1024

const kept = new WeakMap<Database, Recent<TypeWithFields>>()

function typesOf(db: Database): Recent<TypeWithFields> {
  const types = kept.get(db) ?? new Recent(MAX_KEPT)
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
  const type = await findTypeWithFields(db, id)
  if (type) typesOf(db).put(id, type, JSON.stringify(type).length)
  else typesOf(db).delete(id)
  return type
}
