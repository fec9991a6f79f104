import type { Authenticator, RequestAuth } from './authenticator.ts'
import { infoOf, type WithResponse } from './call.ts'
import { LatchkeyError, LatchkeyNetworkError, LatchkeyTimeoutError } from './errors.ts'
import type { ExactNumbers } from './exact-numbers.ts'
import { type AttemptEvent, type Hooks, notify } from './hooks.ts'
import { redactText } from './problem.ts'
import { isValidResponse, MAX_RESPONSE_BYTES, parseJson, readText } from './response.ts'
import type { Call } from './retry-policy.ts'
import { sleep, withTimeout } from './timeouts.ts'
import { userAgent } from './user-agent.ts'

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
  app: string | undefined
  hooks: Hooks
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
   * Returns a successful response and its JSON, undefined if it has none. Throws LatchkeyError,
   * LatchkeyNetworkError, LatchkeyTimeoutError, the reason of the caller's signal, and errors of the token
   * function.
   */
  async send(request: Request, call: Call, auth?: RequestAuth): Promise<WithResponse<unknown>> {
    const { retries, totalSeconds, hooks } = this.#limits
    const started = performance.now()
    const body = request.method === 'GET' || request.method === 'HEAD' ? '' : await request.text()
    this.#onAttempt(request, call)
    for (let number = 1; ; number++) {
      const outcome = await this.#attempt({ request, body, call, auth, number })
      const isLost = outcome instanceof LatchkeyNetworkError
      if (!isLost && outcome.response.ok)
        return { data: this.#parseBody(outcome, call, number), response: infoOf(outcome.response) }
      const failure = isLost ? outcome : errorFrom(outcome, number)
      const delay = mayRetry(call, failure) ? retryDelay(number, failure) : Infinity
      if (number > retries || performance.now() - started + delay >= totalSeconds * 1000) throw failure
      const event = eventOf(request, call, number)
      notify(hooks.onRetry, { ...event, error: failure, delayMilliseconds: Math.round(delay) })
      await sleep(delay, request.signal)
    }
  }

  /** Returns the error if there is no response. Throws errors of the caller, which are not retried. */
  async #attempt(attempt: Attempt): Promise<CompleteResponse | LatchkeyNetworkError> {
    const { request, call, number } = attempt
    const { hooks } = this.#limits
    let { auth } = attempt
    let status: number | undefined
    try {
      return await withTimeout(
        this.#limits.attemptSeconds,
        () => (auth ? this.#timeoutError('response', number) : this.#timeoutError('token', number - 1)),
        request.signal,
        async (signal) => {
          auth ??= await this.#authenticator.authenticate()
          signal.throwIfAborted()
          const event = eventOf(request, call, number)
          const sent = performance.now()
          notify(hooks.onRequest, event)
          const response = await this.#fetchOnce(attempt, auth, signal)
          status = response.status
          // Read here, so that a response that breaks off counts as a failed attempt.
          const text = await readText(response)
          const milliseconds = Math.round(performance.now() - sent)
          notify(hooks.onResponse, { ...event, ...requestIdOf(response, auth), status, milliseconds })
          this.#authenticator.updateSession(response, auth, call.name === 'createSession')
          return { response, text, secret: auth.secret }
        }
      )
    } catch (error) {
      request.signal.throwIfAborted()
      if (error instanceof LatchkeyTimeoutError) return error
      // An error of the token function.
      if (!auth) throw error
      const code = errorCode(error)
      return new LatchkeyNetworkError(
        `No response from the service${code ? ` (${code})` : ''}.`,
        number,
        code
      )
    } finally {
      this.#onAttempt(request, call, status)
    }
  }

  #fetchOnce({ request, body }: Attempt, { header, credentials }: RequestAuth, signal: AbortSignal) {
    const headers = new Headers(request.headers)
    if (header) headers.set(...header)
    const agent = userAgent(this.#limits.app)
    if (agent) headers.set('user-agent', agent)
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
        `The response is larger than ${MAX_RESPONSE_BYTES / 1024 / 1024} MiB.`,
        number
      )
    const body = parseJson(text, this.#limits.exactNumbers)
    if ((body === undefined && text !== '') || !isValidResponse(name, body))
      throw new LatchkeyNetworkError('This is not a response from Latchkey.', number)
    return body
  }

  #timeoutError(missing: 'token' | 'response', number: number): LatchkeyTimeoutError {
    return new LatchkeyTimeoutError(`No ${missing} within ${this.#limits.attemptSeconds} seconds.`, number)
  }
}

function eventOf({ method, url }: Request, { name }: Call, attempt: number): AttemptEvent {
  return { operation: name, method, url, attempt }
}

function requestIdOf({ headers }: Response, { secret }: RequestAuth): { requestId: string | undefined } {
  const id = headers.get('x-request-id')
  return { requestId: id === null ? undefined : redactText(id, secret) }
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
function errorCode(error: unknown): string | undefined {
  const { code, cause } = Object(error) as { code?: unknown; cause?: { code?: unknown } }
  return [cause?.code, code].find(
    (value) => typeof value === 'string' && /^[A-Z][A-Z\d_/]{0,99}$/.test(value)
  ) as string | undefined
}
