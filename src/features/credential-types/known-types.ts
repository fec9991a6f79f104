import type { Database } from '../../db/database.ts'
import { findTypeWithFields, type TypeWithFields } from './repository.ts'

/** Characters of JSON, of all kept types together. One that is larger than a hundredth of it is read each time. */
const MAX_KEPT = 8 * 1024 * 1024
const MAX_EACH = MAX_KEPT / 100

class KnownTypes {
  readonly #types = new Map<string, { type: TypeWithFields; size: number }>()
  #size = 0

  get(id: string): TypeWithFields | undefined {
    const known = this.#types.get(id)
    if (!known) return undefined
    // The one that was used longest ago comes first.
    this.#types.delete(id)
    this.#types.set(id, known)
    return known.type
  }

  put(id: string, type: TypeWithFields | undefined): void {
    this.#delete(id)
    const size = type ? JSON.stringify(type).length : 0
    if (!type || size > MAX_EACH) return
    this.#types.set(id, { type, size })
    this.#size += size
    while (this.#size > MAX_KEPT) this.#delete(this.#types.keys().next().value!)
  }

  #delete(id: string): void {
    this.#size -= this.#types.get(id)?.size ?? 0
    this.#types.delete(id)
  }
}

const kept = new WeakMap<Database, KnownTypes>()

function typesOf(db: Database): KnownTypes {
  const types = kept.get(db) ?? new KnownTypes()
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
  typesOf(db).put(id, type)
  return type
}
