import type { ResolvedCredential } from './generated/types.gen.ts'

/** How long values stay in memory, and for how many credentials. */
export interface CacheLimits {
  seconds: number
  maxEntries: number
}

interface Entry {
  found: ResolvedCredential
  /** Monotonic time (`performance.now()`), which clock changes do not affect. */
  until: number
  /** Wall-clock time. */
  expires: number
}

/** A cache of values. A timer removes expired entries, so that they do not stay in memory unread. */
export class ValueCache {
  readonly #limits: CacheLimits
  readonly #entries = new Map<string, Entry>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #sweepAt = Infinity

  constructor(limits: CacheLimits) {
    this.#limits = limits
  }

  get(key: string): ResolvedCredential | undefined {
    const entry = this.#entries.get(key)
    return entry && remainingMs(entry) > 0 ? entry.found : undefined
  }

  set(key: string, found: ResolvedCredential): void {
    if (this.#limits.seconds <= 0) return
    const expires = found.expiresAt === null ? Infinity : Date.parse(found.expiresAt)
    const entry = { found, until: performance.now() + this.#limits.seconds * 1000, expires }
    this.#entries.set(key, entry)
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > this.#limits.maxEntries) this.delete(oldest!)
    this.#scheduleSweep(remainingMs(entry))
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
    this.#sweep()
  }

  /** Sweeps after `milliseconds` at the latest, with one timer for all entries. */
  #scheduleSweep(milliseconds: number): void {
    const at = performance.now() + milliseconds
    if (at >= this.#sweepAt) return
    clearTimeout(this.#timer)
    this.#sweepAt = at
    this.#timer = setTimeout(() => this.#sweep(), milliseconds)
    // In Node, the timer must not keep the process alive. Browsers have no unref.
    Object(this.#timer).unref?.()
  }

  #sweep(): void {
    clearTimeout(this.#timer)
    this.#sweepAt = Infinity
    let next = Infinity
    for (const [key, entry] of this.#entries) {
      const left = remainingMs(entry)
      if (left <= 0) this.#entries.delete(key)
      else next = Math.min(next, left)
    }
    this.#scheduleSweep(next)
  }
}

function remainingMs({ until, expires }: Entry): number {
  return Math.min(until - performance.now(), expires - Date.now())
}
