import type { InputErrorCode } from './input-error-codes.ts'

/** An error in the input: a JSON pointer, a stable code and a sentence. Never contains what was sent. */
export interface InputError {
  path: string
  code: InputErrorCode
  message: string
}

/** The maximum number of entries in `errors`. */
export const MAX_ERRORS = 50

/** Extension members (RFC 9457, 3.2). */
export interface ProblemMembers {
  errors?: InputError[]
  usageCount?: number
  consumers?: string[]
  projects?: string[]
  /** Seconds, for the Retry-After header. */
  retryAfter?: number
  /** Methods, for the Allow header. */
  allow?: string[]
}

/** The definition of a code, shared by all its problems. */
export interface ProblemKind {
  readonly code: string
  readonly status: number
  readonly title: string
  /** What the code means, for a response. A single problem may have a more precise sentence instead. */
  readonly detail: string
  /** The likely causes, for the pages about problems. */
  readonly causes: string
  /** What to do, for the pages about problems. */
  readonly help: string
}

/** An error response. Thrown anywhere; only the error handler sends it. */
export class Problem extends Error {
  readonly kind: ProblemKind
  readonly members: ProblemMembers

  constructor(kind: ProblemKind, detail: string, members: ProblemMembers, cause?: unknown) {
    super(detail, cause === undefined ? undefined : { cause })
    this.name = 'Problem'
    this.kind = kind
    this.members = members
  }

  get code(): string {
    return this.kind.code
  }

  get status(): number {
    return this.kind.status
  }
}

export interface ProblemClass {
  new (members?: ProblemMembers & { detail?: string; cause?: unknown }): Problem
  readonly kind: ProblemKind
}

/** All problems, by code. */
export const problems = new Map<string, ProblemKind>()

/** Defines the problem `code`. */
export function problem(
  status: number,
  code: string,
  title: string,
  texts: { detail: string; causes: string; help: string }
): ProblemClass {
  const { detail } = texts
  const kind = { code, status, title, ...texts }
  problems.set(code, kind)
  return class extends Problem {
    static readonly kind = kind

    constructor({
      detail: own = detail,
      cause,
      ...members
    }: ProblemMembers & { detail?: string; cause?: unknown } = {}) {
      super(kind, own, members, cause)
    }
  }
}

/** The path of the page about the code, and the `type` of its problems (RFC 9457, 3.1.1). */
export const typeOf = (code: string) => `/docs/problems/${code}`
