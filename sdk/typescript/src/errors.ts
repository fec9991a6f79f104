import type { ProblemCode } from './generated/contract.gen.ts'
import type { InputError, Problem, ResolveErrorCode } from './generated/types.gen.ts'
import { parseProblem, redact, redactText } from './problem.ts'

/** A problem code in the document, or one of a later version of the service. */
export type Code = ProblemCode | (string & {})

/** The service, or a proxy in front of it, returned an error. Contains no token and no session. */
export class LatchkeyError extends Error {
  override readonly name: string = 'LatchkeyError'
  readonly status: number
  /** Stable, for programs. Undefined if the response was not a problem document. */
  readonly code: Code | undefined
  readonly problem: Problem | undefined
  /** The errors in the input, each with a JSON pointer. */
  readonly errors: readonly InputError[]
  /** The request id in the service's logs. */
  readonly requestId: string | undefined
  readonly retryAfterSeconds: number | undefined
  /** How often the request was sent. If it is more than 1, an earlier attempt may have succeeded. */
  readonly attempts: number
  readonly #body: unknown

  constructor(status: number, headers: Headers, json: unknown, attempts: number, secret?: string) {
    const body = redact(json, secret)
    const problem = parseProblem(headers, body)
    const header = headers.get('x-request-id')
    const requestId = problem?.requestId ?? (header === null ? undefined : redactText(header, secret))
    const details = [problem?.code ?? 'no code', status, requestId].filter(Boolean).join(', ')
    super(`${problem?.detail ?? 'The service refused the request.'} (${details})`)
    this.status = status
    this.code = problem?.code
    this.problem = problem
    this.errors = problem?.errors ?? []
    this.requestId = requestId
    this.retryAfterSeconds = parseRetryAfter(headers)
    this.attempts = attempts
    this.#body = body
  }

  /** The JSON body. On the Lightning API, a `LightningError` or `LightningInvalid`. Never printed. */
  get body(): unknown {
    return this.#body
  }
}

/** There was no response, or it could not be read. The service may have carried out the request. */
export class LatchkeyNetworkError extends Error {
  override readonly name: string = 'LatchkeyNetworkError'
  readonly attempts: number
  /** The code of the system or of TLS, such as `ECONNREFUSED`. */
  readonly code: string | undefined

  /** The cause contains only the code: the original error may contain bytes of the response. */
  constructor(message: string, attempts: number, code?: string) {
    super(message, code === undefined ? undefined : { cause: Object.assign(new Error(code), { code }) })
    this.attempts = attempts
    this.code = code
  }
}

/** There was no response in time. */
export class LatchkeyTimeoutError extends LatchkeyNetworkError {
  override readonly name = 'LatchkeyTimeoutError'
}

/** One credential could not be resolved. */
export class LatchkeyResolveError extends Error {
  override readonly name = 'LatchkeyResolveError'
  readonly code: ResolveErrorCode

  constructor(code: ResolveErrorCode, detail: string) {
    super(`${detail} (${code})`)
    this.code = code
  }
}

/** In seconds, from either form of the header (RFC 9110, section 10.2.3). */
function parseRetryAfter(headers: Headers): number | undefined {
  const value = headers.get('retry-after')
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000
  return Number.isNaN(seconds) ? undefined : Math.max(0, Math.ceil(seconds))
}
