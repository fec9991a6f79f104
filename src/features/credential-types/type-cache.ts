import { LRUCache } from 'lru-cache'
import type { Database } from '../../db/database.ts'
import { findTypeWithFields, type TypeWithFields } from './repository.ts'

/** In characters of JSON. */
const MAX_SIZE = 8 * 1024 * 1024

const caches = new WeakMap<Database, LRUCache<string, TypeWithFields>>()

function cacheOf(db: Database): LRUCache<string, TypeWithFields> {
  const cache =
    caches.get(db) ??
    new LRUCache({
      maxSize: MAX_SIZE,
      maxEntrySize: Math.floor(MAX_SIZE / 100),
      sizeCalculation: (type) => JSON.stringify(type).length
    })
  caches.set(db, cache)
  return cache
}

/**
 * Returns the type from the cache if it has this revision, and loads it otherwise. If the type has changed
 * since, this is the current revision; undefined if it was deleted. `db` must not be a transaction.
 */
export async function getAtRevision(
  db: Database,
  id: string,
  revision: number
): Promise<TypeWithFields | undefined> {
  const cached = getCached(db, id)
  return cached?.revision === revision ? cached : loadType(db, id)
}

/** Returns the type from the cache. It may be outdated, so a write based on it has to check the revision. */
export function getCached(db: Database, id: string): TypeWithFields | undefined {
  return cacheOf(db).get(id)
}

/** Reads the current type and caches it. */
export async function loadType(db: Database, id: string): Promise<TypeWithFields | undefined> {
  const type = await findTypeWithFields(db, id)
  if (type) cacheOf(db).set(id, type)
  else cacheOf(db).delete(id)
  return type
}
