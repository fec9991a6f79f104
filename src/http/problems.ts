import { problem } from './problem.ts'

export * from './conflicts.ts'
export type { InputErrorCode } from './input-error-codes.ts'
export {
  type InputError,
  MAX_ERRORS,
  Problem,
  type ProblemClass,
  type ProblemMembers,
  problems
} from './problem.ts'

const RETRY = 'Wait for the number of seconds in `Retry-After`, then send the request again.'

// 400
export const ValidationFailed = problem(400, 'validation-failed', 'Invalid request', {
  detail: 'The request is invalid; see `errors`.',
  causes:
    'A value in the path, query, headers or body is missing, unknown, of the wrong type or out of range.',
  help:
    'Correct the input that `errors` lists. Each entry has a JSON pointer into the request, a code, and a ' +
    'sentence that says what is expected.'
})
export const MalformedBody = problem(400, 'malformed-body', 'Malformed body', {
  detail: 'The body is not valid JSON in UTF-8: check its quotes, commas, brackets and repeated keys.',
  causes: 'The JSON has a syntax error, has the same key twice in one object, or is not encoded in UTF-8.',
  help: 'Send one JSON document in UTF-8 in which no object repeats a key.'
})
export const MalformedUrl = problem(400, 'malformed-url', 'Malformed URL', {
  detail: 'The URL contains an invalid percent-encoding.',
  causes: 'Two hexadecimal digits are missing after a `%`, or the decoded bytes are not UTF-8.',
  help: 'Percent-encode path segments and query parameters as UTF-8.'
})
export const BadRequest = problem(400, 'bad-request', 'Bad request', {
  detail: 'The request cannot be read.',
  causes:
    'The request is not valid HTTP, has two `Host` or `Authorization` headers, has a URL and headers of ' +
    'more than 16 KiB (status 431), or presents two callers, such as a session cookie of one user and an ' +
    'access token of another.',
  help:
    'Send one `Host` header, at most one `Authorization` header, and either a session cookie or an access ' +
    'token. Check what a proxy adds to the request.'
})
// 401
export const Unauthenticated = problem(401, 'unauthenticated', 'Not authenticated', {
  detail:
    'The request has no valid session or token: sign in, or send a valid token as `Authorization: Bearer`.',
  causes:
    'The request has no session cookie and no access token, or the session or token has expired or was ' +
    'revoked, or its user was disabled.',
  help: 'Sign in with `POST /api/v1/session`, or send a valid access token as `Authorization: Bearer`.'
})
export const InvalidCredentials = problem(401, 'invalid-credentials', 'Sign-in failed', {
  detail: 'The e-mail address or the password is wrong, or the user is disabled.',
  causes: 'The address or the password is mistyped, the password was changed, or the user was disabled.',
  help:
    'Check both. An administrator can set a new password or enable the user. If no administrator can sign ' +
    'in, the operator runs `latchkey users reset-password`.'
})
// 403
export const Forbidden = problem(403, 'forbidden', 'Forbidden', {
  detail: 'You do not have permission to do this.',
  causes:
    'You are not the owner of the credential or type, you are not a member of the project, your role in ' +
    'the project is too low, the operation is for administrators, or the token belongs to another project.',
  help:
    'Ask someone who has permission to do it, or ask an owner of the project for a higher role. With a ' +
    'project token, check the id of the project.'
})
export const CrossSiteRequest = problem(403, 'cross-site-request', 'Cross-site request', {
  detail: 'A change that is authenticated by a session cookie must come from the same site.',
  causes:
    'A page of another origin sent the request, or the service is behind a proxy and `PUBLIC_URL` is not ' +
    'the URL that the browser uses.',
  help:
    'Send the request from a page of the service, or use an access token. The operator can allow other ' +
    'origins in `CORS_ORIGINS`.'
})
export const InsufficientScope = problem(403, 'insufficient-scope', 'Insufficient scope', {
  detail: 'The caller does not have a scope that this operation accepts.',
  causes:
    'The token was created without the scope, the operation accepts only sessions, or, as `resolve` does, ' +
    'only project tokens.',
  help:
    'Use a token with one of the scopes that the operation lists; `WWW-Authenticate` lists them too. An ' +
    'operation without scopes needs a session.'
})
export const WrongPassword = problem(403, 'wrong-password', 'Wrong password', {
  detail: 'The current password is wrong.',
  causes: '`currentPassword` is mistyped, or the password was changed in the meantime.',
  help: 'Send the password that you sign in with as `currentPassword`.'
})
// 404 and 405
export const NotFound = problem(404, 'not-found', 'Not found', {
  detail: 'Not found, or you do not have access.',
  causes: 'The id or name is wrong, the resource was deleted, or the caller may not see it.',
  help:
    'Check the id, and the session or token that you send. A resource that does not exist and one that you ' +
    'may not see return the same response.'
})
export const NoSuchRoute = problem(404, 'no-such-route', 'No such route', {
  detail: 'There is no such route; see /docs.',
  causes: 'The path is mistyped, or the client has the wrong base URL.',
  help: 'Check the path. `/docs` and `/openapi.yaml` list all routes.'
})
export const EnvironmentNotConfigured = problem(
  404,
  'environment-not-configured',
  'Environment not configured',
  {
    detail: 'The credential has no values for this environment.',
    causes: 'The name of the environment is mistyped, or its values have not been set yet.',
    help:
      'Set values with `PUT /api/v1/app-credentials/{id}/environments/{environment}`, or use an ' +
      'environment that the credential has.'
  }
)
export const MethodNotAllowed = problem(405, 'method-not-allowed', 'Method not allowed', {
  detail: 'This path does not support the method; see `Allow`.',
  causes: 'The client used a method that the path does not have, such as POST instead of PUT.',
  help: 'Use one of the methods in the `Allow` header.'
})
// 410 to 429
export const Expired = problem(410, 'expired', 'Expired', {
  detail: 'The credential has expired.',
  causes: 'Its `expiresAt` is in the past.',
  help: 'Ask its owner to set a later `expiresAt`, or to remove it.'
})
export const RevisionChanged = problem(412, 'revision-changed', 'Revision changed', {
  detail: 'The revision in `If-Match` is not the current one: read the credential again.',
  causes:
    'The credential was changed after you read it, perhaps by your own earlier attempt whose response was ' +
    'lost; `If-Match` lacks the quotes of the `ETag`; or `If-None-Match: *` was sent for an environment ' +
    'that exists.',
  help: 'Read the credential again, apply your change to it, and send the new `ETag` as `If-Match`.'
})
export const BodyTooLarge = problem(413, 'body-too-large', 'Body too large', {
  detail: 'The body is too large. The limit is 1 MiB, 256 KiB for resolve, and 4 KiB for signing in.',
  causes: 'The request has large values, or resolves many credentials.',
  help: 'Send less in one request.'
})
export const AnswerTooLarge = problem(413, 'answer-too-large', 'Response too large', {
  detail: 'The requested values exceed 6 MiB.',
  causes: 'A resolve asks for too many values, or a list without paging has more than 10,000 credentials.',
  help: 'Resolve fewer credentials in one request. Read a list in pages, with `page` or `pageSize`.'
})
export const UrlTooLong = problem(414, 'url-too-long', 'URL too long', {
  detail: 'A segment of the path is too long.',
  causes: 'A segment has more than 16,384 characters.',
  help: 'Check the path: no route needs such a long segment.'
})
export const UnsupportedMediaType = problem(415, 'unsupported-media-type', 'Unsupported media type', {
  detail: 'Send the body as JSON in UTF-8, not compressed, with `Content-Type: application/json`.',
  causes:
    '`Content-Type` is missing or names another type (curl does so by default), or the body is compressed.',
  help: 'Send `Content-Type: application/json`, and no `Content-Encoding`.'
})
export const IdempotencyKeyReused = problem(422, 'idempotency-key-reused', 'Idempotency key reused', {
  detail: 'This `Idempotency-Key` was used with another request.',
  causes: 'Within the last 24 hours, you sent a request with the same key and another path, query or body.',
  help: 'Use a new key for each new request, and the same key only to repeat the same request.'
})
export const TooManyAttempts = problem(429, 'too-many-attempts', 'Too many attempts', {
  detail: 'Too many failed sign-ins; try again later.',
  causes:
    'Within 15 minutes there were 10 failed attempts for the user from your address, 50 for the user from ' +
    'all addresses, or 100 from your address.',
  help: RETRY
})
export const TooManyRequests = problem(429, 'too-many-requests', 'Too many requests', {
  detail: 'Too many requests in this minute; try again later.',
  causes:
    'The caller or the address sent more requests than the operator allows per minute, or has too many ' +
    'requests in progress.',
  help: RETRY
})
// 5xx
export const InternalError = problem(500, 'internal-error', 'Internal error', {
  detail: 'An unexpected error occurred; the log of the service has the cause under this request id.',
  causes: 'The service has a fault.',
  help: 'Send the `requestId` to the operator of the service.'
})
export const DecryptionFailedProblem = problem(500, 'decryption-failed', 'Decryption failed', {
  detail: 'A stored value cannot be decrypted because it was changed outside the service.',
  causes: 'The database was edited, was damaged, or was restored in part.',
  help:
    'Send the `requestId` to the operator of the service. The owner can replace the damaged value by ' +
    'setting all values again.'
})
export const Unavailable = problem(503, 'unavailable', 'Unavailable', {
  detail: 'The database is unavailable or busy; try again.',
  causes: 'The database is unreachable, restarting or overloaded, or the service is busy or stopping.',
  help: RETRY
})
