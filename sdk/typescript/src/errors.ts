import type { ProblemCode } from './generated/contract.gen.ts'
import type { InputError, Problem, ResolveErrorCode } from './generated/types.gen.ts'
import { problemIn, scrubbed, scrubbedText } from './problem.ts'

/** A code of the document, or one that a later service has. */
export type Code = ProblemCode | (string & {})

/** The service refused, or something between here and it did. Holds no token and no session. */
export class LatchkeyError extends Error {
  override readonly name: string = 'LatchkeyError'
  readonly status: number
  /** The stable word for programs; undefined when the answer was no problem document. */
  readonly code: Code | undefined
  readonly problem: Problem | undefined
  /** What is wrong with the input, each with a JSON pointer. */
  readonly errors: readonly InputError[]
  /** As in the service's logs. */
  readonly requestId: string | undefined
  readonly retryAfterSeconds: number | undefined
  /** How often the request was sent. Over 1, an attempt before this one may have been carried out. */
  readonly attempts: number
  readonly #body: unknown

  constructor(status: number, headers: Headers, answer: unknown, attempts: number, secret?: string) {
    const body = scrubbed(answer, secret)
    const problem = problemIn(headers, body)
    const header = headers.get('x-request-id')
    const requestId = problem?.requestId ?? (header === null ? undefined : scrubbedText(header, secret))
    super(
      `${problem?.detail ?? 'The service did not do it.'} (${[problem?.code ?? 'no code', status, requestId].filter(Boolean).join(', ')})`
    )
    this.status = status
    this.code = problem?.code
    this.problem = problem
    this.errors = problem?.errors ?? []
    this.requestId = requestId
    this.retryAfterSeconds = retryAfterIn(headers)
    this.attempts = attempts
    this.#body = body
  }

  /** The JSON of the answer: on the Lightning surface a `LightningError` or `LightningInvalid`. Never printed. */
  get body(): unknown {
    return this.#body
  }
}

/** No answer, or none that can be read. What was sent may have been carried out. */
export class LatchkeyNetworkError extends Error {
  override readonly name: string = 'LatchkeyNetworkError'
  readonly attempts: number

  constructor(what: string, attempts: number) {
    super(what)
    this.attempts = attempts
  }
}

/** No answer in time. */
export class LatchkeyTimeoutError extends LatchkeyNetworkError {
  override readonly name = 'LatchkeyTimeoutError'
}

/** Why one credential was not resolved. */
export class LatchkeyResolveError extends Error {
  override readonly name = 'LatchkeyResolveError'
  readonly code: ResolveErrorCode

  constructor(code: ResolveErrorCode, detail: string) {
    super(`${detail} (${code})`)
    this.code = code
  }
}

/** Seconds, from either form of the header (RFC 9110, 10.2.3). */
function retryAfterIn(headers: Headers): number | undefined {
  const value = headers.get('retry-after')
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000
  return Number.isNaN(seconds) ? undefined : Math.max(0, Math.ceil(seconds))
}
