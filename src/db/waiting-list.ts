interface Waiter<T> {
  readonly since: number
  resolve(value: T): void
  reject(error: Error): void
}

/** Callers that wait for a value, in the order of their arrival. */
export class WaitingList<T> {
  readonly #waiters: Waiter<T>[] = []

  get length(): number {
    return this.#waiters.length
  }

  /** When the first caller started to wait. */
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

  /** Rejects the callers that started to wait at or before `by`. */
  rejectAll(error: Error, by = performance.now()): void {
    while (this.since <= by) this.#waiters.shift()?.reject(error)
  }
}
