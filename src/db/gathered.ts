import { isOfRow, isRetryable } from './sqlstate.ts'

/** How many may wait for the next statement. */
const MOST_WAITING = 5_000
/** How long one waits before its statement is under way. */
const WAITS_MS = 5_000

export interface Gathering<Asked, Answer> {
  /** Runs one statement for all of these; gives an answer for each, in their order. */
  send(asked: readonly Asked[]): Promise<readonly Answer[]>
  /** How many one statement is for, at most. */
  most: number
  /** How many statements are under way at once, at most. */
  atOnce: number
}

interface Waiting<Asked, Answer> {
  asked: Asked
  until: number
  done: (answer: Answer) => void
  failed: (error: unknown) => void
}

/** What was not sent because what came before it took too long. */
export class WaitedTooLong extends Error {
  constructor() {
    super('waited too long for the statements before')
    this.name = 'WaitedTooLong'
  }
}

/**
 * One statement for many callers: those that come in one turn of the event loop, or while as many statements as may be are
 * under way, go together with the next. When one fails for what may be about one of them, each half of them is tried
 * without the other, so that nobody fails for somebody else.
 */
export class Gathered<Asked, Answer> {
  readonly #gathering: Gathering<Asked, Answer>
  #waiting: Waiting<Asked, Answer>[] = []
  #underWay = 0
  #scheduled = false
  #watched = false

  constructor(gathering: Gathering<Asked, Answer>) {
    this.#gathering = gathering
  }

  get idle(): boolean {
    return this.#underWay === 0 && this.#waiting.length === 0
  }

  /** Gives the statement's answer; throws what kept it from being run, WaitedTooLong among it. */
  ask(asked: Asked): Promise<Answer> {
    return new Promise((done, failed) => {
      if (this.#waiting.length >= MOST_WAITING) return failed(new WaitedTooLong())
      this.#waiting.push({ asked, until: performance.now() + WAITS_MS, done, failed })
      this.#watch()
      if (this.#scheduled || this.#underWay >= this.#gathering.atOnce) return
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.#sendNext()
      })
    })
  }

  /** Refuses those that have waited for too long, whether the statement before them ends or not. */
  #watch(): void {
    const first = this.#waiting[0]
    if (this.#watched || !first) return
    this.#watched = true
    const look = () => {
      this.#watched = false
      const now = performance.now()
      while (this.#waiting[0] && this.#waiting[0].until <= now)
        this.#waiting.shift()!.failed(new WaitedTooLong())
      this.#watch()
    }
    setTimeout(look, Math.max(1, first.until - performance.now() + 1)).unref()
  }

  #sendNext(): void {
    const { most, atOnce } = this.#gathering
    while (this.#waiting.length > 0 && this.#underWay < atOnce) {
      const share = Math.ceil(this.#waiting.length / (atOnce - this.#underWay))
      void this.#run(this.#waiting.splice(0, Math.min(most, share)))
    }
  }

  async #run(batch: readonly Waiting<Asked, Answer>[]): Promise<void> {
    this.#underWay++
    const tell = await this.#send(batch)
    this.#underWay--
    this.#sendNext()
    tell()
  }

  /** Gives what tells each caller. */
  async #send(batch: readonly Waiting<Asked, Answer>[]): Promise<() => void> {
    try {
      const answers = await this.#gathering.send(batch.map(({ asked }) => asked))
      return () => {
        for (const [i, { done }] of batch.entries()) done(answers[i]!)
      }
    } catch (error) {
      if (batch.length === 1 || !isOfOne(error)) {
        return () => {
          for (const { failed } of batch) failed(error)
        }
      }
      const half = Math.ceil(batch.length / 2)
      const tell = await this.#send(batch.slice(0, half))
      tell()
      return this.#send(batch.slice(half))
    }
  }
}

/** Not for a lock that was not to be had in time: all have waited for long then, and would again. */
const isOfOne = (error: unknown) => isOfRow(error) || isRetryable(error)

/**
 * Asks on a database, where all that ask at a time are gathered; by groups, those of one group, so that no group waits for
 * what another does.
 */
export function gathered<On extends object, Asked, Answer>(
  gatheringOn: (on: On) => Gathering<Asked, Answer>,
  groupOf: (asked: Asked) => string = () => ''
): (on: On, asked: Asked) => Promise<Answer> {
  const everywhere = new WeakMap<On, Map<string, Gathered<Asked, Answer>>>()
  return async (on, asked) => {
    const groups = everywhere.get(on) ?? new Map<string, Gathered<Asked, Answer>>()
    everywhere.set(on, groups)
    const group = groupOf(asked)
    const one = groups.get(group) ?? new Gathered(gatheringOn(on))
    groups.set(group, one)
    try {
      return await one.ask(asked)
    } finally {
      if (one.idle && groups.get(group) === one) groups.delete(group)
    }
  }
}
