const MOST = 500

interface Waiting<Row> {
  rows: readonly Row[]
  done: () => void
  failed: (error: unknown) => void
}

/**
 * Writes rows of many callers by few statements: those that come while one is under way wait for it, and go together
 * with the next. When one fails, each of its callers is tried alone, so that nobody fails for another's rows.
 */
export class Gathered<Row> {
  readonly #send: (rows: readonly Row[]) => Promise<unknown>
  #waiting: Waiting<Row>[] = []
  #running = false

  constructor(send: (rows: readonly Row[]) => Promise<unknown>) {
    this.#send = send
  }

  /** Returns when the rows are written; throws what kept them from it. */
  write(rows: readonly Row[]): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ rows, done, failed })
      if (!this.#running) this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MOST)
      try {
        await this.#send(batch.flatMap(({ rows }) => rows))
        for (const { done } of batch) done()
      } catch (error) {
        if (batch.length === 1) batch[0]!.failed(error)
        else await Promise.all(batch.map((one) => this.#send(one.rows).then(one.done, one.failed)))
      }
    }
    this.#running = false
  }
}
