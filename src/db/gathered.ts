import { isOfRow } from './sqlstate.ts'

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
 * under way, go together with the next. When one fails for what may be wrong with one of them, each is tried alone, so that
 * nobody fails for another.
 */
export class Gathered<Asked, Answer> {
  readonly #gathering: Gathering<Asked, Answer>
  #waiting: Waiting<Asked, Answer>[] = []
  #underWay = 0
  #scheduled = false

  constructor(gathering: Gathering<Asked, Answer>) {
    this.#gathering = gathering
  }

  /** Gives the statement's answer; throws what kept it from being run, WaitedTooLong among it. */
  ask(asked: Asked): Promise<Answer> {
    return new Promise((done, failed) => {
      if (this.#waiting.length >= MOST_WAITING) return failed(new WaitedTooLong())
      this.#waiting.push({ asked, until: performance.now() + WAITS_MS, done, failed })
      if (this.#scheduled || this.#underWay >= this.#gathering.atOnce) return
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.#sendNext()
      })
    })
  }

  #sendNext(): void {
    while (this.#waiting.length > 0 && this.#underWay < this.#gathering.atOnce) {
      const batch = this.#next()
      if (batch.length > 0) this.#run(batch)
    }
  }

  #next(): Waiting<Asked, Answer>[] {
    const { most, atOnce } = this.#gathering
    const share = Math.ceil(this.#waiting.length / (atOnce - this.#underWay))
    const batch = this.#waiting.splice(0, Math.min(most, share))
    const now = performance.now()
    return batch.filter(({ until, failed }) => {
      if (until < now) failed(new WaitedTooLong())
      return until >= now
    })
  }

  async #run(batch: readonly Waiting<Asked, Answer>[]): Promise<void> {
    this.#underWay++
    const sent = this.#gathering.send(batch.map(({ asked }) => asked))
    const answers = await sent.catch((error: unknown) => {
      if (batch.length > 1 && isOfRow(error)) for (const one of batch) this.#sendAlone(one)
      else for (const { failed } of batch) failed(error)
    })
    this.#underWay--
    this.#sendNext()
    if (answers) for (const [i, { done }] of batch.entries()) done(answers[i]!)
  }

  #sendAlone({ asked, done, failed }: Waiting<Asked, Answer>): void {
    this.#gathering.send([asked]).then(([answer]) => done(answer!), failed)
  }
}

/** Asks on a database, where all that ask at a time are gathered. */
export function gathered<On extends object, Asked, Answer>(
  gatheringOn: (on: On) => Gathering<Asked, Answer>
): (on: On, asked: Asked) => Promise<Answer> {
  const each = new WeakMap<On, Gathered<Asked, Answer>>()
  return (on, asked) => {
    const one = each.get(on) ?? new Gathered(gatheringOn(on))
    each.set(on, one)
    return one.ask(asked)
  }
}
