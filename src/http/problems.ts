/** An error in the input: a JSON pointer, a stable code and a sentence. Never contains values. */
export interface InputError {
  path: string
  code: string
  message: string
}

/** Extension members (RFC 9457, 3.2). */
export interface ProblemMembers {
  errors?: InputError[]
  usageCount?: number
  consumers?: string[]
  projects?: string[]
  /** Seconds, for the Retry-After header. */
  retryAfter?: number
}

/** An error response. Thrown anywhere; only the error handler sends it. */
export class Problem extends Error {
  readonly code: string
  readonly status: number
  readonly title: string
  readonly members: ProblemMembers

  constructor(
    code: string,
    status: number,
    title: string,
    detail: string,
    members: ProblemMembers,
    cause?: unknown
  ) {
    super(detail, cause === undefined ? undefined : { cause })
    this.name = 'Problem'
    this.code = code
    this.status = status
    this.title = title
    this.members = members
  }
}

export type ProblemClass = new (members?: ProblemMembers & { detail?: string; cause?: unknown }) => Problem

/** All problems, by code. */
export const problems = new Map<string, { status: number; title: string; detail: string }>()

function problem(code: string, status: number, title: string, detail: string): ProblemClass {
  problems.set(code, { status, title, detail })
  return class extends Problem {
    constructor({
      detail: own,
      cause,
      ...members
    }: ProblemMembers & { detail?: string; cause?: unknown } = {}) {
      super(code, status, title, own ?? detail, members, cause)
    }
  }
}

// 400
export const ValidationFailed = problem(
  'validation-failed',
  400,
  'Invalid input',
  'The request is not as the contract says.'
)
export const MalformedBody = problem(
  'malformed-body',
  400,
  'Malformed body',
  'The body is not one JSON document in UTF-8.'
)
export const MalformedUrl = problem('malformed-url', 400, 'Malformed URL', 'The URL cannot be read.')
export const BadRequest = problem('bad-request', 400, 'Bad request', 'The request cannot be read.')
// 401
export const Unauthenticated = problem(
  'unauthenticated',
  401,
  'Not signed in',
  'Sign in, or send a valid token.'
)
export const InvalidCredentials = problem(
  'invalid-credentials',
  401,
  'Sign-in failed',
  'E-mail and password do not fit together, or the account is disabled.'
)
// 403
export const Forbidden = problem(
  'forbidden',
  403,
  'Not allowed',
  'You may see this, but not do that with it.'
)
export const CrossSiteRequest = problem(
  'cross-site-request',
  403,
  'Cross-site request',
  'A change by session cookie has to come from this site.'
)
export const InsufficientScope = problem(
  'insufficient-scope',
  403,
  'Insufficient scope',
  'The token does not have the scope that this takes; some operations take no token at all.'
)
export const WrongPassword = problem(
  'wrong-password',
  403,
  'Wrong password',
  'The current password is not right.'
)
// 404
export const NotFound = problem(
  'not-found',
  404,
  'Not found',
  'There is no such thing, or you may not know of it.'
)
export const EnvironmentNotConfigured = problem(
  'environment-not-configured',
  404,
  'Environment not configured',
  'The credential has no values for this environment.'
)
// 409
export const NameTaken = problem(
  'name-taken',
  409,
  'Name taken',
  'That name is in use; names are compared without regard to case, Unicode form and spaces.'
)
export const AmbiguousName = problem(
  'ambiguous-name',
  409,
  'Ambiguous name',
  'You are a member of several projects of that name: send the id of one.'
)
export const ExternalIdTaken = problem(
  'external-id-taken',
  409,
  'External id taken',
  'You already have a credential with the same external id.'
)
export const EmailTaken = problem(
  'email-taken',
  409,
  'E-mail taken',
  'Somebody has that e-mail address already.'
)
export const MainEnvironment = problem(
  'main-environment',
  409,
  'Main environment',
  'The environment main stays as long as the credential.'
)
export const TooManyEnvironments = problem(
  'too-many-environments',
  409,
  'Too many environments',
  'A credential has 32 environments at the most.'
)
export const TooManyUsages = problem(
  'too-many-usages',
  409,
  'Too many usages',
  'A credential has 10,000 usages at the most.'
)
export const TooManyMembers = problem(
  'too-many-members',
  409,
  'Too many members',
  'A project has 1,000 members at the most.'
)
export const TokenRevoked = problem(
  'token-revoked',
  409,
  'Token revoked',
  'The token that this Idempotency-Key made is not valid any more, and is not shown again: make another one.'
)
export const TooManyTypes = problem(
  'too-many-types',
  409,
  'Too many types',
  'A user has 200 credential types at the most: delete those that are not used.'
)
export const TypeInUse = problem(
  'type-in-use',
  409,
  'Type in use',
  'Credentials of this type would no longer fit, or would lose their type.'
)
export const CredentialInUse = problem(
  'credential-in-use',
  409,
  'Credential in use',
  'Consumers have registered that they depend on this credential.'
)
export const NewOwnerMayNotLink = problem(
  'new-owner-may-not-link',
  409,
  'Not to this user',
  'Nobody of this address may take the credential: it takes somebody who may sign in, who is an editor or ' +
    'above ' +
    'in every project that it is linked to, and who has no credential of the same name or external id.'
)
export const UserOwnsCredentials = problem(
  'user-owns-credentials',
  409,
  'User owns credentials',
  'The user still owns credentials: transfer or delete these first, or disable the user.'
)
export const LastOwner = problem(
  'last-owner',
  409,
  'Last owner',
  'A project needs an owner: make somebody else an owner first.'
)
export const LastAdministrator = problem(
  'last-administrator',
  409,
  'Last administrator',
  'The service needs an administrator who can sign in: make somebody else one first.'
)
export const AlreadyMember = problem(
  'already-member',
  409,
  'Already a member',
  'That user is a member of the project already.'
)
// 412 … 429
export const RevisionChanged = problem(
  'revision-changed',
  412,
  'Changed meanwhile',
  'The revision in If-Match is not the current one.'
)
export const BodyTooLarge = problem(
  'body-too-large',
  413,
  'Body too large',
  'A body has 1 MiB at the most, that of a resolve 256 KiB, and that of a sign-in 4 KiB.'
)
export const AnswerTooLarge = problem(
  'answer-too-large',
  413,
  'Answer too large',
  'The values asked for have over 6 MiB together: ask for fewer at once.'
)
export const UrlTooLong = problem('url-too-long', 414, 'URL too long', 'A part of the path is too long.')
export const UnsupportedMediaType = problem(
  'unsupported-media-type',
  415,
  'Unsupported media type',
  'Send application/json in UTF-8, not compressed.'
)
export const IdempotencyKeyReused = problem(
  'idempotency-key-reused',
  422,
  'Idempotency key reused',
  'That Idempotency-Key was used with another request.'
)
export const TooManyAttempts = problem(
  'too-many-attempts',
  429,
  'Too many attempts',
  'Too many failed sign-ins; try again later.'
)
export const TooManyRequests = problem(
  'too-many-requests',
  429,
  'Too many requests',
  'Too many requests in this minute; try again later.'
)
// 5xx
export const InternalError = problem(
  'internal-error',
  500,
  'Internal error',
  'Something went wrong here; the log has it under the request id.'
)
export const DecryptionFailedProblem = problem(
  'decryption-failed',
  500,
  'Decryption failed',
  'A stored value does not open; it was changed outside of the service.'
)
export const Unavailable = problem(
  'unavailable',
  503,
  'Unavailable',
  'The database is away or busy; try again.'
)
