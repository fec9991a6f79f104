export interface Waiter<T> {
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
      const timer = setTimeout(() => this.reject(waiter, tooLate()), timeoutMs)
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

  slice(start: number, end: number): Waiter<T>[] {
    return this.#waiters.slice(start, end)
  }

  resolveFirst(value: T): void {
    this.#waiters.shift()?.resolve(value)
  }

  /** Does nothing if the waiter does not wait any more. */
  reject(waiter: Waiter<T>, error: Error): void {
    const index = this.#waiters.indexOf(waiter)
    if (index >= 0) this.#waiters.splice(index, 1)[0]?.reject(error)
  }

  rejectAll(error: Error): void {
    for (const { reject } of this.#waiters.splice(0)) reject(error)
  }
}
