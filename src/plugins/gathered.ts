/** What one statement takes on, and how many may wait for the next one. */
const MOST = 500
const MOST_WAITING = 5_000
/** How long a caller waits before its statement is under way. */
const WAITS_MS = 5_000

interface Waiting<Row> {
  rows: readonly Row[]
  until: number
  done: () => void
  failed: (error: unknown) => void
}

/** What was not written because what came before it took too long. */
export class WaitedTooLong extends Error {
  constructor() {
    super('rows waited too long for those before them')
    this.name = 'WaitedTooLong'
  }
}

/**
 * Writes rows of many callers by few statements: those that come while one is under way wait for it, and go together with the next. When
 * one fails for what may be wrong with one row of it, each of its callers is tried alone, so that nobody fails for another's rows.
 */
export class Gathered<Row> {
  readonly #send: (rows: readonly Row[]) => Promise<unknown>
  readonly #isOfRow: (error: unknown) => boolean
  #waiting: Waiting<Row>[] = []
  #running = false

  constructor(send: (rows: readonly Row[]) => Promise<unknown>, isOfRow: (error: unknown) => boolean) {
    this.#send = send
    this.#isOfRow = isOfRow
  }

  /** Returns when the rows are written; throws what kept them from it, WaitedTooLong among it. */
  write(rows: readonly Row[]): Promise<void> {
    return new Promise((done, failed) => {
      if (this.#waiting.length >= MOST_WAITING) return failed(new WaitedTooLong())
      this.#waiting.push({ rows, until: performance.now() + WAITS_MS, done, failed })
      if (!this.#running) this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiting.length > 0) {
      const batch = this.#next()
      if (batch.length === 0) continue
      try {
        await this.#send(batch.flatMap(({ rows }) => rows))
        for (const { done } of batch) done()
      } catch (error) {
        if (batch.length > 1 && this.#isOfRow(error)) {
          await Promise.all(batch.map((one) => this.#send(one.rows).then(one.done, one.failed)))
        } else for (const { failed } of batch) failed(error)
      }
    }
    this.#running = false
  }

  #next(): Waiting<Row>[] {
    const now = performance.now()
    const batch = this.#waiting.splice(0, MOST)
    for (const one of batch) if (one.until < now) one.failed(new WaitedTooLong())
    return batch.filter((one) => one.until >= now)
  }
}
