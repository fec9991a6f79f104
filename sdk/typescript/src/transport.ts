import { isAnswer, jsonOf, MOST_BYTES, textOf } from './answers.ts'
import type { Call } from './calls.ts'
import type { Caller, Proof } from './credentials.ts'
import { LatchkeyError, LatchkeyNetworkError, LatchkeyTimeoutError } from './errors.ts'
import { pause, within } from './waiting.ts'

/** How long to go on. All are bounds: whichever is met first ends it. */
export interface Patience {
  /** How often a request is sent again, at the most. */
  retries: number
  /** For one attempt, from asking for the token up to the last byte of its answer. */
  attemptSeconds: number
  /** After this, no attempt begins. */
  totalSeconds: number
}

interface Attempt {
  request: Request
  body: string
  call: Call
  /** What proves who calls, when that was asked for already. */
  proof: Proof | undefined
  number: number
}

/** A whole answer; its text is undefined when it is too large. */
interface Given {
  answer: Response
  text: string | undefined
  secret: string | undefined
}

const PASSING = new Set([429, 502, 503, 504])
const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 5000

/** Sends requests: proves who calls, sends again what may be sent again, and makes of an answer what it says. */
export class Transport {
  readonly #fetch: typeof fetch
  readonly #caller: Caller
  readonly #patience: Patience
  readonly #watch: (request: Request, call: Call, status?: number) => void

  /** `watch` sees each request before it is first sent, and after each attempt, with the status when there was an answer. */
  constructor(
    fetch: typeof globalThis.fetch,
    caller: Caller,
    patience: Patience,
    watch: (request: Request, call: Call, status?: number) => void
  ) {
    this.#fetch = fetch
    this.#caller = caller
    this.#patience = patience
    this.#watch = watch
  }

  /** Asks who calls, for as long as for an attempt. Throws what the token's function throws, too. */
  prove(signal: AbortSignal | undefined): Promise<Proof> {
    return within(
      this.#patience.attemptSeconds,
      () => this.#late('token', 0),
      signal,
      () => this.#caller.prove()
    )
  }

  /**
   * Gives the JSON of a whole answer of success, undefined for one that has none, and throws for all else: LatchkeyError,
   * LatchkeyNetworkError, LatchkeyTimeoutError, the reason of the caller's signal, or what the token's function throws.
   */
  async send(request: Request, call: Call, proof?: Proof): Promise<unknown> {
    const { retries, totalSeconds } = this.#patience
    const started = performance.now()
    const body = request.method === 'GET' || request.method === 'HEAD' ? '' : await request.text()
    this.#watch(request, call)
    for (let number = 1; ; number++) {
      const outcome = await this.#attempt({ request, body, call, proof, number })
      const isLost = outcome instanceof LatchkeyNetworkError
      if (!isLost && outcome.answer.ok) return read(outcome, call, number)
      const failure = isLost ? outcome : refusalOf(outcome, number)
      const delay = mayRepeat(call, failure) ? delayBefore(number, failure) : Infinity
      if (number > retries || performance.now() - started + delay >= totalSeconds * 1000) throw failure
      await pause(delay, request.signal)
    }
  }

  /** Gives the error when there is no answer, and throws what is not the service's: it is not to be tried again. */
  async #attempt(attempt: Attempt): Promise<Given | LatchkeyNetworkError> {
    const { request, call, number } = attempt
    let { proof } = attempt
    let status: number | undefined
    try {
      return await within(
        this.#patience.attemptSeconds,
        () => (proof ? this.#late('answer', number) : this.#late('token', number - 1)),
        request.signal,
        async (signal) => {
          proof ??= await this.#caller.prove()
          signal.throwIfAborted()
          const answer = await this.#fetched(attempt, proof, signal)
          status = answer.status
          // All of it, here: an answer that breaks off is no answer.
          const text = await textOf(answer)
          this.#caller.learn(answer, proof, call.name === 'createSession')
          return { answer, text, secret: proof.secret }
        }
      )
    } catch (error) {
      request.signal.throwIfAborted()
      if (error instanceof LatchkeyTimeoutError) return error
      // The token's function has errors of its own.
      if (!proof) throw error
      return new LatchkeyNetworkError(`No answer from the service${wordFor(error)}.`, number)
    } finally {
      this.#watch(request, call, status)
    }
  }

  #fetched({ request, body }: Attempt, { header, credentials }: Proof, signal: AbortSignal) {
    const headers = new Headers(request.headers)
    if (header) headers.set(...header)
    return this.#fetch(request.url, {
      method: request.method,
      headers,
      credentials,
      signal,
      // Nothing here redirects; what is sent goes nowhere else.
      redirect: 'error',
      cache: 'no-store',
      ...(body !== '' && { body })
    })
  }

  #late(what: 'token' | 'answer', number: number): LatchkeyTimeoutError {
    return new LatchkeyTimeoutError(`No ${what} within ${this.#patience.attemptSeconds} seconds.`, number)
  }
}

// The same request would be answered the same: what is of no use is not asked for again.
function read({ text }: Given, { name }: Call, number: number): unknown {
  if (text === undefined)
    throw new LatchkeyNetworkError(`The answer is larger than ${MOST_BYTES / 1024 / 1024} MiB.`, number)
  const body = jsonOf(text)
  if ((body === undefined && text !== '') || !isAnswer(name, body))
    throw new LatchkeyNetworkError('This is not an answer of Latchkey.', number)
  return body
}

function refusalOf({ answer: { status, headers }, text, secret }: Given, number: number): LatchkeyError {
  return new LatchkeyError(status, headers, jsonOf(text ?? ''), number, secret)
}

function mayRepeat({ again }: Call, failure: LatchkeyError | LatchkeyNetworkError): boolean {
  if (again === 'never') return false
  if (failure instanceof LatchkeyError && !PASSING.has(failure.status)) return false
  return again === 'unless-refused' || saysNotDone(failure)
}

function saysNotDone(failure: LatchkeyError | LatchkeyNetworkError): boolean {
  if (!(failure instanceof LatchkeyError)) return false
  return [429, 503].includes(failure.status) && failure.retryAfterSeconds !== undefined
}

/** Milliseconds: at any moment (full jitter) below a bound that doubles, but not before the service wants it. */
function delayBefore(attempts: number, failure: LatchkeyError | LatchkeyNetworkError): number {
  const bound = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempts - 1))
  const least = failure instanceof LatchkeyError ? (failure.retryAfterSeconds ?? 0) : 0
  return least * 1000 + Math.random() * bound
}

// The cause itself may hold bytes of the answer; its code, such as ECONNREFUSED, is a word.
function wordFor(error: unknown): string {
  const { code, cause } = Object(error) as { code?: unknown; cause?: { code?: unknown } }
  const word = [cause?.code, code].find((one) => typeof one === 'string' && /^[A-Z_]+$/.test(one))
  return word ? ` (${word})` : ''
}
