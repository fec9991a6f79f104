import type { ResolvedCredential } from './generated/types.gen.ts'

/** A credential that was handed out. */
export type Found = Required<Omit<ResolvedCredential, 'name' | 'error'>>

/** How long values stay in memory, and of how many credentials. */
export interface Keeping {
  seconds: number
  most: number
}

interface Entry {
  found: Found
  /** On the clock of `performance.now()`, which nobody sets back. */
  until: number
  /** On the clock of the day. */
  expires: number
}

/** Values in memory. They leave it when their time is over, whether anybody asks for them or not. */
export class Kept {
  readonly #keeping: Keeping
  readonly #entries = new Map<string, Entry>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #wakesAt = Infinity

  constructor(keeping: Keeping) {
    this.#keeping = keeping
  }

  get(key: string): Found | undefined {
    const entry = this.#entries.get(key)
    return entry && remaining(entry) > 0 ? entry.found : undefined
  }

  set(key: string, found: Found): void {
    if (this.#keeping.seconds <= 0) return
    const expires = found.expiresAt === null ? Infinity : Date.parse(found.expiresAt)
    const entry = { found, until: performance.now() + this.#keeping.seconds * 1000, expires }
    this.#entries.set(key, entry)
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > this.#keeping.most) this.delete(oldest!)
    this.#wakeIn(remaining(entry))
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
    this.#sweep()
  }

  /** No later than that; one timer for all. */
  #wakeIn(milliseconds: number): void {
    const at = performance.now() + milliseconds
    if (at >= this.#wakesAt) return
    clearTimeout(this.#timer)
    this.#wakesAt = at
    this.#timer = setTimeout(() => this.#sweep(), milliseconds)
    // In Node, a program that is done ends nevertheless.
    Object(this.#timer).unref?.()
  }

  #sweep(): void {
    clearTimeout(this.#timer)
    this.#wakesAt = Infinity
    let next = Infinity
    for (const [key, entry] of this.#entries) {
      const left = remaining(entry)
      if (left <= 0) this.#entries.delete(key)
      else next = Math.min(next, left)
    }
    this.#wakeIn(next)
  }
}

/** Milliseconds. */
function remaining({ until, expires }: Entry): number {
  return Math.min(until - performance.now(), expires - Date.now())
}
