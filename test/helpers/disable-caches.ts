import { LRUCache } from 'lru-cache'
import type { Test } from 'tap'

/** Turns all caches off, so that every answer comes from the database. */
export function disableCaches(t: Test): void {
  const { set } = LRUCache.prototype
  LRUCache.prototype.set = function () {
    return this
  }
  t.teardown(() => {
    LRUCache.prototype.set = set
  })
}
