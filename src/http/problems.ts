import { problem } from './problem.ts'

export * from './conflicts.ts'
export type { InputErrorCode } from './input-error-codes.ts'
export { type InputError, Problem, type ProblemClass, type ProblemMembers, problems } from './problem.ts'

const RETRY = 'Wait for the seconds in `Retry-After`, then send the request again.'

// 400
export const ValidationFailed = problem(400, 'validation-failed', 'Invalid request', {
  detail: 'The request is invalid; see `errors`.',
  help:
    'Correct what `errors` lists. Each entry has a JSON pointer into the request, a code, and a sentence ' +
    'that says what is expected.'
})
export const MalformedBody = problem(400, 'malformed-body', 'Malformed body', {
  detail: 'The body is not a JSON document in UTF-8.',
  help: 'Send exactly one JSON document in UTF-8, in which no object has a key twice.'
})
export const MalformedUrl = problem(400, 'malformed-url', 'Malformed URL', {
  detail: 'The URL contains an invalid percent-encoding.',
  help: 'Percent-encode path segments and query parameters as UTF-8.'
})
export const BadRequest = problem(400, 'bad-request', 'Bad request', {
  detail: 'The request cannot be read.',
  help:
    'Check that the request is valid HTTP, has one `Host` and one `Authorization` header at most, and ' +
    'presents one caller: a session cookie or an access token.'
})
// 401
export const Unauthenticated = problem(401, 'unauthenticated', 'Not authenticated', {
  detail: 'The request has no valid session or token.',
  help:
    'Sign in with `POST /api/v1/session`, or send a valid access token as `Authorization: Bearer`. ' +
    'Sessions and tokens end when they expire or are revoked.'
})
export const InvalidCredentials = problem(401, 'invalid-credentials', 'Sign-in failed', {
  detail: 'The e-mail address or the password is wrong, or the account is disabled.',
  help: 'Check both. An administrator can set a new password or enable the account.'
})
// 403
export const Forbidden = problem(403, 'forbidden', 'Forbidden', {
  detail: 'You can see this, but you are not allowed to do this with it.',
  help: 'Ask the owner, or an admin of the project, to do it or to give you the role that it needs.'
})
export const CrossSiteRequest = problem(403, 'cross-site-request', 'Cross-site request', {
  detail: 'A change that is authenticated by a session cookie must come from the same site.',
  help:
    'Use an access token, or send the request from a page of this site. Operators allow other sites in ' +
    '`CORS_ORIGINS`.'
})
export const InsufficientScope = problem(403, 'insufficient-scope', 'Insufficient scope', {
  detail: 'The caller does not have a scope that this operation accepts.',
  help:
    'Use a token with a scope that the operation lists; `WWW-Authenticate` lists them too. An operation ' +
    'that lists none needs a session.'
})
export const WrongPassword = problem(403, 'wrong-password', 'Wrong password', {
  detail: 'The current password is wrong.',
  help: 'Send the password that you sign in with as `currentPassword`.'
})
// 404 and 405
export const NotFound = problem(404, 'not-found', 'Not found', {
  detail: 'Not found, or you do not have access.',
  help:
    'Check the id, and that the caller has access. What does not exist and what you may not see get the ' +
    'same answer.'
})
export const NoSuchRoute = problem(404, 'no-such-route', 'No such route', {
  detail: 'There is no such route; see /docs.',
  help: 'Check the path. `/docs` and `/openapi.yaml` list all routes.'
})
export const EnvironmentNotConfigured = problem(
  404,
  'environment-not-configured',
  'Environment not configured',
  {
    detail: 'The credential has no values for this environment.',
    help: 'Set values with `PUT /api/v1/app-credentials/{id}/environments/{environment}`, or use another one.'
  }
)
export const MethodNotAllowed = problem(405, 'method-not-allowed', 'Method not allowed', {
  detail: 'This path does not support the method; see `Allow`.',
  help: 'Use one of the methods in the `Allow` header.'
})
// 410 to 429
export const Expired = problem(410, 'expired', 'Expired', {
  detail: 'The credential has expired.',
  help: 'Its owner can set a later `expiresAt`, or remove it.'
})
export const RevisionChanged = problem(412, 'revision-changed', 'Revision changed', {
  detail: 'The revision in `If-Match` is not the current one.',
  help: 'Read the credential again, apply your change to it, and send the new `ETag` as `If-Match`.'
})
export const BodyTooLarge = problem(413, 'body-too-large', 'Body too large', {
  detail: 'The body is too large: 1 MiB is allowed, 256 KiB for resolve, and 4 KiB for signing in.',
  help: 'Send less in one request.'
})
export const AnswerTooLarge = problem(413, 'answer-too-large', 'Answer too large', {
  detail: 'The requested values exceed 6 MiB.',
  help: 'Ask for fewer credentials in one request.'
})
export const UrlTooLong = problem(414, 'url-too-long', 'URL too long', {
  detail: 'A segment of the path is too long.',
  help: 'Check the path: no segment of a route needs as many characters.'
})
export const UnsupportedMediaType = problem(415, 'unsupported-media-type', 'Unsupported media type', {
  detail: 'The body must be application/json in UTF-8, not compressed.',
  help: 'Send `Content-Type: application/json`, and no `Content-Encoding`.'
})
export const IdempotencyKeyReused = problem(422, 'idempotency-key-reused', 'Idempotency key reused', {
  detail: 'This `Idempotency-Key` was used with another request.',
  help: 'Send a new key with each new request, and the same key only to repeat the same request.'
})
export const TooManyAttempts = problem(429, 'too-many-attempts', 'Too many attempts', {
  detail: 'Too many failed sign-ins; try again later.',
  help: RETRY
})
export const TooManyRequests = problem(429, 'too-many-requests', 'Too many requests', {
  detail: 'Too many requests in this minute; try again later.',
  help: RETRY
})
// 5xx
export const InternalError = problem(500, 'internal-error', 'Internal error', {
  detail: 'Something went wrong; the log of the service has the cause under this request id.',
  help: 'Tell the operator of the service the `requestId`.'
})
export const DecryptionFailedProblem = problem(500, 'decryption-failed', 'Decryption failed', {
  detail: 'A stored value cannot be decrypted: it was changed outside of the service.',
  help: 'Tell the operator of the service the `requestId`. Setting all values again replaces the damaged one.'
})
export const Unavailable = problem(503, 'unavailable', 'Unavailable', {
  detail: 'The database is unavailable or busy; try again.',
  help: RETRY
})
