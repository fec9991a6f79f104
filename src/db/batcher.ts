import { isRetryable, isRowError } from './errors.ts'

const MAX_WAITING = 5_000
const MAX_WAIT_MS = 5_000

export interface BatchOptions<Input, Output> {
  /** Runs one statement for all inputs. Returns one output per input, in the same order. */
  run(inputs: readonly Input[]): Promise<readonly Output[]>
  /** The largest number of inputs in one batch. */
  maxSize: number
  /** The largest number of batches that run at the same time. */
  concurrency: number
}

interface Entry<Input, Output> {
  input: Input
  deadline: number
  resolve: (output: Output) => void
  reject: (error: unknown) => void
}

/** Thrown if an input waits too long for its batch to start, or if the queue is full. */
export class BatchTimeout extends Error {
  constructor() {
    super('timed out waiting for a batch to start')
    this.name = 'BatchTimeout'
  }
}

/**
 * Collects concurrent calls into batches. Calls made in one turn of the event loop, or while `concurrency`
 * batches are running, share the next batch. If a batch fails with a row-level error, it is split in half and
 * each half is retried, so one bad input cannot fail the others.
 */
export class Batcher<Input, Output> {
  readonly #options: BatchOptions<Input, Output>
  readonly #queue: Entry<Input, Output>[] = []
  #running = 0
  #scheduled = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: BatchOptions<Input, Output>) {
    this.#options = options
  }

  /** Returns the output for this input. Throws what the batch threw, or BatchTimeout if it never started. */
  add(input: Input): Promise<Output> {
    return new Promise((resolve, reject) => {
      if (this.#queue.length >= MAX_WAITING) return reject(new BatchTimeout())
      this.#queue.push({ input, deadline: performance.now() + MAX_WAIT_MS, resolve, reject })
      this.#timer ??= setTimeout(() => this.#expire(), MAX_WAIT_MS).unref()
      if (this.#scheduled || this.#running >= this.#options.concurrency) return
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.#start()
      })
    })
  }

  /** Rejects entries that have waited too long, even if the running batch never ends. */
  #expire(): void {
    const now = performance.now()
    while (this.#queue[0] && this.#queue[0].deadline <= now) this.#queue.shift()!.reject(new BatchTimeout())
    const next = this.#queue[0]
    this.#timer = next && setTimeout(() => this.#expire(), next.deadline - now + 1).unref()
  }

  #start(): void {
    const { maxSize, concurrency } = this.#options
    while (this.#queue.length > 0 && this.#running < concurrency) {
      const share = Math.ceil(this.#queue.length / (concurrency - this.#running))
      this.#running++
      void this.#run(this.#queue.splice(0, Math.min(maxSize, share))).finally(() => {
        this.#running--
        this.#start()
      })
    }
  }

  async #run(batch: readonly Entry<Input, Output>[]): Promise<void> {
    try {
      const outputs = await this.#options.run(batch.map(({ input }) => input))
      for (const [i, { resolve }] of batch.entries()) resolve(outputs[i]!)
    } catch (error) {
      if (batch.length === 1 || !(isRowError(error) || isRetryable(error))) {
        for (const { reject } of batch) reject(error)
        return
      }
      const half = Math.ceil(batch.length / 2)
      await this.#run(batch.slice(0, half))
      await this.#run(batch.slice(half))
    }
  }
}

/** Returns a function that batches calls per target (a database, or a connection pool). */
export function createBatcher<Target extends object, Input, Output>(
  optionsFor: (target: Target) => BatchOptions<Input, Output>
): (target: Target, input: Input) => Promise<Output> {
  const batchers = new WeakMap<Target, Batcher<Input, Output>>()
  return (target, input) => {
    const batcher = batchers.get(target) ?? new Batcher(optionsFor(target))
    batchers.set(target, batcher)
    return batcher.add(input)
  }
}
