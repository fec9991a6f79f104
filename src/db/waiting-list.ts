interface Waiter<T> {
  readonly since: number
  resolve(value: T): void
  reject(error: Error): void
}

/** Those who wait for a thing of a kind, in the order in which they came. */
export class WaitingList<T> {
  readonly #waiters: Waiter<T>[] = []

  get length(): number {
    return this.#waiters.length
  }

  /** When the first of them came. */
  get since(): number {
    return this.#waiters[0]?.since ?? Number.POSITIVE_INFINITY
  }

  /** Rejects with `tooLate()` after `timeoutMs`. */
  wait(timeoutMs: number, tooLate: () => Error): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(tooLate())
      }, timeoutMs)
      const waiter: Waiter<T> = {
        since: performance.now(),
        resolve(value) {
          clearTimeout(timer)
          resolve(value)
        },
        reject(error) {
          clearTimeout(timer)
          reject(error)
        }
      }
      this.#waiters.push(waiter)
    })
  }

  resolveFirst(value: T): void {
    this.#waiters.shift()?.resolve(value)
  }

  /** Rejects those who came by then. */
  rejectAll(error: Error, by = performance.now()): void {
    while (this.since <= by) this.#waiters.shift()?.reject(error)
  }
}
