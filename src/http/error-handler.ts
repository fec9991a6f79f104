import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { DecryptionFailed } from '../crypto/aead.ts'
import { unavailability, violates } from '../db/errors.ts'
import { challengeOf } from './challenge.ts'
import { inputErrorsOf } from './clean-input.ts'
import { typeOf } from './problem.ts'
import * as errors from './problems.ts'
import { logRequest } from './request-log.ts'
import { minimalHeaders } from './security-headers.ts'

/** Problems for Fastify's own error codes. */
const FASTIFY_ERRORS: Record<string, errors.ProblemClass> = {
  FST_ERR_CTP_BODY_TOO_LARGE: errors.BodyTooLarge,
  FST_ERR_CTP_INVALID_MEDIA_TYPE: errors.UnsupportedMediaType,
  FST_ERR_CTP_EMPTY_TYPE: errors.UnsupportedMediaType,
  FST_ERR_CTP_EMPTY_JSON_BODY: errors.MalformedBody,
  FST_ERR_CTP_INVALID_JSON_BODY: errors.MalformedBody,
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: errors.BadRequest,
  FST_ERR_BAD_URL: errors.MalformedUrl,
  FST_ERR_MAX_PARAM_LENGTH: errors.UrlTooLong,
  FST_ERR_NOT_FOUND: errors.NoSuchRoute
}

/** Violated when the calling user, or the project of the calling token, is deleted while the request runs. */
const CALLER_FOREIGN_KEYS = [
  'credentials_owner_id_fkey',
  'credential_types_owner_id_fkey',
  'credential_projects_assigned_by_fkey',
  'credential_usages_project_id_fkey',
  'access_tokens_user_id_fkey',
  'access_tokens_created_by_fkey'
]

/** Maps anything thrown to a problem; an unknown error is an internal error. */
function problemOf(error: unknown, request: FastifyRequest): errors.Problem {
  if (error instanceof errors.Problem) return error
  const { validation, code, statusCode } = error as Partial<FastifyError>
  if (validation) return new errors.ValidationFailed({ errors: inputErrorsOf(request) })
  const FastifyProblem = FASTIFY_ERRORS[code ?? '']
  if (FastifyProblem) return new FastifyProblem()
  if (error instanceof DecryptionFailed) return new errors.DecryptionFailedProblem({ cause: error })
  if (CALLER_FOREIGN_KEYS.some((constraint) => violates(error, constraint)))
    return new errors.Unauthenticated({ cause: error })
  const reason = unavailability(error)
  if (reason) return new errors.Unavailable({ detail: `${reason}; try again.`, retryAfter: 2, cause: error })
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new errors.BadRequest({ cause: error })
  return new errors.InternalError({ cause: error })
}

/** The problem's body (RFC 9457). */
function problemBody(problem: errors.Problem, requestId: string) {
  const { retryAfter: _retryAfter, allow: _allow, ...members } = problem.members
  const { code, status, title } = problem.kind
  return {
    type: typeOf(code),
    status,
    title,
    code,
    detail: problem.message,
    requestId,
    ...members
  }
}

/**
 * Maps an error to a problem, records it if it is a denial, and logs it. If the denial cannot be recorded,
 * the result is the error of recording it instead.
 */
export async function reportProblem(error: unknown, request: FastifyRequest): Promise<errors.Problem> {
  let problem = problemOf(error, request)
  if (problem.code === 'decryption-failed')
    request.server.metrics.decryptionFailures.inc({ where: 'request' })
  // Only authenticated callers get validation errors; others get 401.
  if (!request.caller && problem.status !== 401 && problem.status < 500) {
    await request.server.authenticate(request, false).catch((failure) => {
      problem = problemOf(failure, request)
    })
  }
  try {
    await request.server.recordDenial(request, problem)
  } catch (failure) {
    problem = problemOf(failure, request)
  }
  logProblem(problem, request)
  return problem
}

/** The format of an error response. */
interface Format {
  type: string
  bodyOf(problem: errors.Problem, requestId: string): object
}

const problemFormat: Format = { type: 'application/problem+json; charset=utf-8', bodyOf: problemBody }

/** For errors that Fastify raises before there is a caller: no denial has to be recorded. */
export function answerProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  format?: Format
): FastifyReply {
  const problem = problemOf(error, request)
  logProblem(problem, request)
  return send(problem, request, reply, format)
}

function send(
  problem: errors.Problem,
  request: FastifyRequest,
  reply: FastifyReply,
  { type, bodyOf } = problemFormat
): FastifyReply {
  if (!reply.hasHeader('x-request-id')) runMissedHooks(request, reply)
  setRefusalHeaders(problem, request, reply)
  // A string is sent as is, so sending an error cannot itself fail in a serializer.
  return reply
    .code(problem.status)
    .type(type)
    .send(JSON.stringify(bodyOf(problem, request.id)))
}

/** Sets Retry-After, Allow and WWW-Authenticate. */
export function setRefusalHeaders(
  problem: errors.Problem,
  request: FastifyRequest,
  reply: FastifyReply
): void {
  if (problem.members.retryAfter !== undefined) reply.header('retry-after', problem.members.retryAfter)
  if (problem.members.allow) reply.header('allow', problem.members.allow.join(', '))
  const challenge = challengeOf(problem, request)
  if (challenge) reply.header('www-authenticate', challenge)
}

// The router refuses some URLs before any hook has run.
function runMissedHooks(request: FastifyRequest, reply: FastifyReply): void {
  reply.headers({ ...minimalHeaders, 'x-request-id': request.id })
  reply.raw.once('finish', () => logRequest(request, reply))
}

function logProblem(problem: errors.Problem, request: FastifyRequest): void {
  const { code, status } = problem
  if (status >= 500) request.log.error({ code, err: problem.cause ?? problem }, 'failed')
  else request.log.debug({ code, status }, 'refused')
}

declare module 'fastify' {
  interface FastifyInstance {
    recordDenial: RecordDenial
  }
}

type RecordDenial = (request: FastifyRequest, problem: errors.Problem) => Promise<void>

/**
 * Sends every error as a problem. Calls `recordDenial` before sending it, and `answerUnrouted` if the request
 * matches no route.
 */
export const errorHandler = fp<{ recordDenial: RecordDenial; answerUnrouted: typeof answerProblem }>(
  async (app, { recordDenial, answerUnrouted }) => {
    app.decorate('recordDenial', recordDenial)
    app.setErrorHandler(async (error, request, reply) =>
      send(await reportProblem(error, request), request, reply)
    )
    app.setNotFoundHandler((request, reply) => answerUnrouted(new errors.NoSuchRoute(), request, reply))
    // An unknown Expect header is ignored (RFC 9110, 10.1.1): Node would respond with 417 without a body.
    app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  },
  { name: 'error-handler', fastify: '5.x' }
)

/** Responds to a request that Node could not parse, and closes the connection. */
export function answerUnreadable(error: NodeJS.ErrnoException, socket: import('node:net').Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const status =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400
  const requestId = crypto.randomUUID()
  const body = JSON.stringify({ ...problemBody(new errors.BadRequest(), requestId), status })
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n` +
        'content-type: application/problem+json; charset=utf-8\r\n' +
        Object.entries(minimalHeaders)
          .map(([name, value]) => `${name}: ${value}\r\n`)
          .join('') +
        `x-request-id: ${requestId}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
        `connection: close\r\n\r\n${body}`
    )
  }
  socket.destroySoon()
}
