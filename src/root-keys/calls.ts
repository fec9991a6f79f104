import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

const ATTEMPTS = 3
const CALL_MS = 2_000
/** For all attempts together, so that a start says soon why it cannot. */
const ALL_MS = 8_000
const LONGEST_PAUSE_MS = 250
const LONGEST_REASON = 300

/** A call to a keeper of root keys that failed: why, in one line without a secret, and whether the next may pass. */
export class CallFailed extends Error {
  readonly mayPass: boolean

  constructor(reason: string, mayPass: boolean) {
    super(reason)
    this.name = 'CallFailed'
    this.mayPass = mayPass
  }
}

/**
 * What the call gives, tried three times at most, with a random pause between, while what it throws is a CallFailed
 * that may pass. Each attempt has two seconds; all until `deadline`, on performance.now()'s clock.
 */
export async function persistently<T>(
  deadline: number,
  call: (signal: AbortSignal) => Promise<T>
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await timed(Math.max(1, Math.min(CALL_MS, deadline - performance.now())), call)
    } catch (error) {
      if (!(error instanceof CallFailed) || !error.mayPass || attempt === ATTEMPTS) throw error
      const pause = randomInt(LONGEST_PAUSE_MS * attempt)
      if (performance.now() + pause >= deadline) throw error
      await sleep(pause)
    }
  }
}

/** The deadline of an operation that begins now. */
export function deadlineFromNow(): number {
  return performance.now() + ALL_MS
}

// A race, because not all that a client does before and after the request itself hears the signal.
async function timed<T>(ms: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new CallFailed(`no answer within ${(ms / 1000).toFixed(1)} s`, true))
      controller.abort()
    }, ms)
  })
  try {
    return await Promise.race([call(controller.signal), late])
  } finally {
    clearTimeout(timer)
  }
}

/** The failure that a system error (`connect ECONNREFUSED …`) is; undefined when the error is of another kind. */
export function connectionFailure(error: unknown): CallFailed | undefined {
  // An address that stands for several gives one error for each.
  const first = error instanceof AggregateError ? error.errors[0] : error
  if (!(first instanceof Error) || typeof (first as NodeJS.ErrnoException).code !== 'string') return undefined
  const { code = '' } = first as NodeJS.ErrnoException
  const mayPass = /^(ECONN|EPIPE$|ETIMEDOUT$|EHOST|ENET|ENOTFOUND$|EAI_AGAIN$|UND_ERR_)/.test(code)
  return new CallFailed(quoted(first.message || code), mayPass)
}

/** What somebody else said, fit for our own message: one line, not long, without the secrets that were sent. */
export function quoted(text: string, secrets: readonly string[] = []): string {
  const without = secrets.reduce((rest, secret) => rest.replaceAll(secret, '[withheld]'), text)
  return without
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, LONGEST_REASON)
}
