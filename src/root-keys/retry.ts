import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

const MAX_ATTEMPTS = 3
const ATTEMPT_TIMEOUT_MS = 2_000
/** For all attempts together, so that a start that cannot succeed fails early. */
const TOTAL_TIMEOUT_MS = 8_000
const MAX_PAUSE_MS = 250
const MAX_REASON_LENGTH = 300

/** A call to a provider of root keys failed. The message is one line without a secret. */
export class ProviderError extends Error {
  readonly retryable: boolean

  constructor(reason: string, retryable: boolean) {
    super(reason)
    this.name = 'ProviderError'
    this.retryable = retryable
  }
}

/** The deadline, on the clock of performance.now(), of an operation that begins now. */
export function newDeadline(): number {
  return performance.now() + TOTAL_TIMEOUT_MS
}

/**
 * Runs `call`, and again after a random pause if it throws a retryable ProviderError: three times at most,
 * with two seconds for each attempt, and not past the deadline.
 */
export async function withRetries<T>(
  deadline: number,
  call: (signal: AbortSignal) => Promise<T>
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await withTimeout(Math.max(1, Math.min(ATTEMPT_TIMEOUT_MS, deadline - performance.now())), call)
    } catch (error) {
      if (!(error instanceof ProviderError) || !error.retryable || attempt === MAX_ATTEMPTS) throw error
      const pause = randomInt(MAX_PAUSE_MS * attempt)
      if (performance.now() + pause >= deadline) throw error
      await sleep(pause)
    }
  }
}

// A race, because a client does not check the signal before and after the request.
async function withTimeout<T>(ms: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new ProviderError(`no response within ${(ms / 1000).toFixed(1)} s`, true))
      controller.abort()
    }, ms)
  })
  try {
    return await Promise.race([call(controller.signal), timeout])
  } finally {
    clearTimeout(timer)
  }
}

/** Converts a system error (`connect ECONNREFUSED …`). Returns undefined for any other error. */
export function connectionError(error: unknown): ProviderError | undefined {
  // A host with several addresses gives one error for each.
  const first = error instanceof AggregateError ? error.errors[0] : error
  if (!(first instanceof Error) || typeof (first as NodeJS.ErrnoException).code !== 'string') return undefined
  const { code = '' } = first as NodeJS.ErrnoException
  const retryable = /^(ECONN|EPIPE$|ETIMEDOUT$|EHOST|ENET|ENOTFOUND$|EAI_AGAIN$|UND_ERR_)/.test(code)
  return new ProviderError(sanitize(first.message || code), retryable)
}

/** Makes a provider's text safe for a message: one short line without the secrets that were sent. */
export function sanitize(text: string, secrets: readonly string[] = []): string {
  const withoutSecrets = secrets.reduce((rest, secret) => rest.replaceAll(secret, '[withheld]'), text)
  return withoutSecrets
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, MAX_REASON_LENGTH)
}
