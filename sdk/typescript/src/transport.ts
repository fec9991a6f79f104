import type { Authenticator, RequestAuth } from './authenticator.ts'
import { LatchkeyError, LatchkeyNetworkError, LatchkeyTimeoutError } from './errors.ts'
import type { ExactNumbers } from './exact-numbers.ts'
import { isValidResponse, MAX_RESPONSE_BYTES, parseJson, readText } from './response.ts'
import type { Call } from './retry-policy.ts'
import { sleep, withTimeout } from './timeouts.ts'

/** Limits of a call. The first one reached ends it. */
export interface RetryLimits {
  retries: number
  /** The timeout of one attempt, from requesting the token to the last byte of the response. */
  attemptSeconds: number
  /** No attempt starts after this time. */
  totalSeconds: number
}

export interface TransportSettings extends RetryLimits {
  exactNumbers: ExactNumbers | undefined
}

interface Attempt {
  request: Request
  body: string
  call: Call
  /** Set if the caller has authenticated already. */
  auth: RequestAuth | undefined
  number: number
}

/** A complete response. Its text is undefined if it is too large. */
interface CompleteResponse {
  response: Response
  text: string | undefined
  secret: string | undefined
}

const TRANSIENT = new Set([429, 502, 503, 504])
const FIRST_DELAY_MS = 200
const MAX_DELAY_MS = 5000

/**
 * Sends requests: authenticates them, retries them as their policy allows, and turns failures into errors.
 */
export class Transport {
  readonly #fetch: typeof fetch
  readonly #authenticator: Authenticator
  readonly #limits: TransportSettings
  readonly #onAttempt: (request: Request, call: Call, status?: number) => void

  /**
   * `onAttempt` is called before the first attempt and after each one, with the status if there was a
   * response.
   */
  constructor(
    fetch: typeof globalThis.fetch,
    authenticator: Authenticator,
    limits: TransportSettings,
    onAttempt: (request: Request, call: Call, status?: number) => void
  ) {
    this.#fetch = fetch
    this.#authenticator = authenticator
    this.#limits = limits
    this.#onAttempt = onAttempt
  }

  /** Authenticates with the timeout of one attempt. Rethrows errors of the token function. */
  authenticate(signal: AbortSignal | undefined): Promise<RequestAuth> {
    return withTimeout(
      this.#limits.attemptSeconds,
      () => this.#timeoutError('token', 0),
      signal,
      () => this.#authenticator.authenticate()
    )
  }

  /**
   * Returns the JSON of a successful response, or undefined if it has none. Throws LatchkeyError,
   * LatchkeyNetworkError, LatchkeyTimeoutError, the reason of the caller's signal, and errors of the token
   * function.
   */
  async send(request: Request, call: Call, auth?: RequestAuth): Promise<unknown> {
    const { retries, totalSeconds } = this.#limits
    const started = performance.now()
    const body = request.method === 'GET' || request.method === 'HEAD' ? '' : await request.text()
    this.#onAttempt(request, call)
    for (let number = 1; ; number++) {
      const outcome = await this.#attempt({ request, body, call, auth, number })
      const isLost = outcome instanceof LatchkeyNetworkError
      if (!isLost && outcome.response.ok) return this.#parseBody(outcome, call, number)
      const failure = isLost ? outcome : errorFrom(outcome, number)
      const delay = mayRetry(call, failure) ? retryDelay(number, failure) : Infinity
      if (number > retries || performance.now() - started + delay >= totalSeconds * 1000) throw failure
      await sleep(delay, request.signal)
    }
  }

  /** Returns the error if there is no response. Throws errors of the caller, which are not retried. */
  async #attempt(attempt: Attempt): Promise<CompleteResponse | LatchkeyNetworkError> {
    const { request, call, number } = attempt
    let { auth } = attempt
    let status: number | undefined
    try {
      return await withTimeout(
        this.#limits.attemptSeconds,
        () => (auth ? this.#timeoutError('answer', number) : this.#timeoutError('token', number - 1)),
        request.signal,
        async (signal) => {
          auth ??= await this.#authenticator.authenticate()
          signal.throwIfAborted()
          const response = await this.#fetchOnce(attempt, auth, signal)
          status = response.status
          // Read here, so that a response that breaks off counts as a failed attempt.
          const text = await readText(response)
          this.#authenticator.updateSession(response, auth, call.name === 'createSession')
          return { response, text, secret: auth.secret }
        }
      )
    } catch (error) {
      request.signal.throwIfAborted()
      if (error instanceof LatchkeyTimeoutError) return error
      // An error of the token function.
      if (!auth) throw error
      return new LatchkeyNetworkError(`No answer from the service${errorCode(error)}.`, number)
    } finally {
      this.#onAttempt(request, call, status)
    }
  }

  #fetchOnce({ request, body }: Attempt, { header, credentials }: RequestAuth, signal: AbortSignal) {
    const headers = new Headers(request.headers)
    if (header) headers.set(...header)
    return this.#fetch(request.url, {
      method: request.method,
      headers,
      credentials,
      signal,
      // The service never redirects, and the token must not be sent elsewhere.
      redirect: 'error',
      cache: 'no-store',
      ...(body !== '' && { body })
    })
  }

  // An invalid body is not retried: the service would send the same again.
  #parseBody({ text }: CompleteResponse, { name }: Call, number: number): unknown {
    if (text === undefined)
      throw new LatchkeyNetworkError(
        `The answer is larger than ${MAX_RESPONSE_BYTES / 1024 / 1024} MiB.`,
        number
      )
    const body = parseJson(text, this.#limits.exactNumbers)
    if ((body === undefined && text !== '') || !isValidResponse(name, body))
      throw new LatchkeyNetworkError('This is not an answer of Latchkey.', number)
    return body
  }

  #timeoutError(missing: 'token' | 'answer', number: number): LatchkeyTimeoutError {
    return new LatchkeyTimeoutError(`No ${missing} within ${this.#limits.attemptSeconds} seconds.`, number)
  }
}

function errorFrom({ response, text, secret }: CompleteResponse, number: number): LatchkeyError {
  return new LatchkeyError(response.status, response.headers, parseJson(text ?? ''), number, secret)
}

function mayRetry({ retry }: Call, failure: LatchkeyError | LatchkeyNetworkError): boolean {
  if (retry === 'never') return false
  if (failure instanceof LatchkeyError && !TRANSIENT.has(failure.status)) return false
  return retry === 'transient' || saysNotDone(failure)
}

function saysNotDone(failure: LatchkeyError | LatchkeyNetworkError): boolean {
  if (!(failure instanceof LatchkeyError)) return false
  return [429, 503].includes(failure.status) && failure.retryAfterSeconds !== undefined
}

/** In milliseconds: exponential backoff with full jitter, on top of `Retry-After`. */
function retryDelay(attempts: number, failure: LatchkeyError | LatchkeyNetworkError): number {
  const bound = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempts - 1))
  const retryAfter = failure instanceof LatchkeyError ? (failure.retryAfterSeconds ?? 0) : 0
  return retryAfter * 1000 + Math.random() * bound
}

// Only the code, such as ECONNREFUSED: the cause itself may contain bytes of the response.
function errorCode(error: unknown): string {
  const { code, cause } = Object(error) as { code?: unknown; cause?: { code?: unknown } }
  const known = [cause?.code, code].find((value) => typeof value === 'string' && /^[A-Z_]+$/.test(value))
  return known ? ` (${known})` : ''
}
