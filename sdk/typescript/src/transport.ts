import type { Caller } from './credentials.ts'
import { LatchkeyError, LatchkeyNetworkError, LatchkeyTimeoutError } from './errors.ts'

/** How long to go on. All are bounds: whichever is met first ends it. */
export interface Patience {
  /** How often a request is sent again, at the most. */
  retries: number
  /** For one attempt, up to the last byte of its answer. */
  attemptSeconds: number
  /** After this, no attempt begins. */
  totalSeconds: number
}

export interface Transport {
  fetch: typeof fetch
  caller: Caller
  patience: Patience
  /** Sees the request before it is first sent, and after each attempt, with the status when there was an answer. */
  watch(request: Request, status?: number): void
}

const PASSING = new Set([429, 502, 503, 504])
/** POSTs that change nothing, each hand-out of which is audited. */
const HANDS_OUT = /\/(resolve|reveal)$/
const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 5000

/**
 * A `fetch` for the generated client: proves who calls, sends again what may be sent again, and throws for all but a
 * whole answer of success: LatchkeyError, LatchkeyNetworkError, LatchkeyTimeoutError, or the reason of the caller's signal.
 */
export function transport({
  fetch,
  caller,
  patience,
  watch
}: Transport): (request: Request) => Promise<Response> {
  async function attempt(request: Request, body: string, attempts: number): Promise<Response> {
    const proof = await caller.prove(request.headers)
    const controller = new AbortController()
    const stop = () => controller.abort(request.signal.reason)
    request.signal.addEventListener('abort', stop)
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      controller.abort()
    }, patience.attemptSeconds * 1000)
    try {
      request.signal.throwIfAborted()
      const { method, url } = request
      const answer = await fetch(url, {
        ...proof,
        method,
        signal: controller.signal,
        // Nothing here redirects; what is sent goes nowhere else.
        redirect: 'error',
        cache: 'no-store',
        ...(body !== '' && { body })
      })
      // All of it, here: an answer that breaks off is no answer.
      const bytes = await answer.arrayBuffer()
      caller.learn(answer)
      return new Response(bytes.byteLength > 0 ? bytes : null, answer)
    } catch (error) {
      request.signal.throwIfAborted()
      if (timedOut)
        throw new LatchkeyTimeoutError(`No answer within ${patience.attemptSeconds} seconds.`, attempts)
      throw new LatchkeyNetworkError(`No answer from the service${wordFor(error)}.`, attempts)
    } finally {
      clearTimeout(timer)
      request.signal.removeEventListener('abort', stop)
    }
  }

  return async (request) => {
    const started = performance.now()
    const body = request.method === 'GET' || request.method === 'HEAD' ? '' : await request.text()
    watch(request)
    for (let attempts = 1; ; attempts++) {
      let answer: Response | undefined
      let failure: LatchkeyError | LatchkeyNetworkError
      try {
        answer = await attempt(request, body, attempts)
        if (answer.ok) return answer
        failure = new LatchkeyError(answer.status, answer.headers, await jsonOf(answer), attempts)
      } catch (error) {
        if (!(error instanceof LatchkeyNetworkError)) throw error
        failure = error
      } finally {
        watch(request, answer?.status)
      }
      const delay = mayRepeat(request, failure) ? delayBefore(attempts, failure) : Infinity
      if (attempts > patience.retries || performance.now() - started + delay >= patience.totalSeconds * 1000)
        throw failure
      await pause(delay, request.signal)
    }
  }
}

// What an attempt may have done already, a second one must not do again: so a POST needs its key. What only hands out is
// asked for again when the service says that it did not, and not when its answer was lost: each hand-out is audited.
function mayRepeat(
  { method, url, headers }: Request,
  failure: LatchkeyError | LatchkeyNetworkError
): boolean {
  if (failure instanceof LatchkeyError && !PASSING.has(failure.status)) return false
  if (method !== 'POST' || headers.has('idempotency-key')) return true
  const refused = failure instanceof LatchkeyError && failure.retryAfterSeconds !== undefined
  return refused && HANDS_OUT.test(new URL(url).pathname)
}

/** Milliseconds: at any moment (full jitter) below a bound that doubles, but not before the service wants it. */
function delayBefore(attempts: number, failure: LatchkeyError | LatchkeyNetworkError): number {
  const bound = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempts - 1))
  const least = failure instanceof LatchkeyError ? (failure.retryAfterSeconds ?? 0) : 0
  return least * 1000 + Math.random() * bound
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end)
      resolve()
    }, milliseconds)
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
}

async function jsonOf(answer: Response): Promise<unknown> {
  try {
    return await answer.json()
  } catch {
    return undefined
  }
}

// The cause itself may hold bytes of the answer; its code, such as ECONNREFUSED, is a word.
function wordFor(error: unknown): string {
  const { code, cause } = Object(error) as { code?: unknown; cause?: { code?: unknown } }
  const word = [cause?.code, code].find((one) => typeof one === 'string' && /^[A-Z_]+$/.test(one))
  return word ? ` (${word})` : ''
}
