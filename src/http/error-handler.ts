import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { recordDenial } from '../audit/denials.ts'
import { DecryptionFailed } from '../crypto/aead.ts'
import { isUnavailable, violates } from '../db/errors.ts'
import * as errors from './problems.ts'
import { logRequest } from './request-log.ts'
import { leastHeaders } from './security-headers.ts'
import { inputErrorOf } from './validation.ts'

/** Fastify's own refusals, by its code. */
const OF_FASTIFY: Record<string, errors.ProblemClass> = {
  FST_ERR_CTP_BODY_TOO_LARGE: errors.BodyTooLarge,
  FST_ERR_CTP_INVALID_MEDIA_TYPE: errors.UnsupportedMediaType,
  FST_ERR_CTP_EMPTY_TYPE: errors.UnsupportedMediaType,
  FST_ERR_CTP_EMPTY_JSON_BODY: errors.MalformedBody,
  FST_ERR_CTP_INVALID_JSON_BODY: errors.MalformedBody,
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: errors.BadRequest,
  FST_ERR_BAD_URL: errors.MalformedUrl,
  FST_ERR_NOT_FOUND: errors.NotFound
}

/** What a caller who was deleted while the request ran cannot be any more: a user, or the project of a token. */
const CALLER = [
  'credentials_owner_id_fkey',
  'credential_types_owner_id_fkey',
  'credential_projects_assigned_by_fkey',
  'credential_usages_project_id_fkey',
  'access_tokens_user_id_fkey',
  'access_tokens_created_by_fkey'
]

/** The problem that anything thrown comes to. What is not known is an internal error. */
export function problemOf(error: unknown): errors.Problem {
  if (error instanceof errors.Problem) return error
  const { validation, validationContext, code, statusCode } = error as Partial<FastifyError>
  if (validation) {
    return new errors.ValidationFailed({
      errors: validation.map((one) => inputErrorOf(one, validationContext))
    })
  }
  const known = OF_FASTIFY[code ?? '']
  if (known) return new known()
  if (error instanceof DecryptionFailed) return new errors.DecryptionFailedProblem({ cause: error })
  if (CALLER.some((constraint) => violates(error, constraint)))
    return new errors.Unauthenticated({ cause: error })
  if (isUnavailable(error)) return new errors.Unavailable({ retryAfter: 2, cause: error })
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new errors.BadRequest({ cause: error })
  return new errors.InternalError({ cause: error })
}

/** The problem's body as RFC 9457 has it. */
export function problemBody(problem: errors.Problem, requestId: string) {
  const { retryAfter: _, ...members } = problem.members
  return {
    status: problem.status,
    title: problem.title,
    code: problem.code,
    detail: problem.message,
    requestId,
    ...members
  }
}

/**
 * The problem to answer, logged, and recorded when it is a denial. A denial that cannot be recorded is not answered: the
 * problem is then why it could not.
 */
export async function settledProblem(error: unknown, request: FastifyRequest): Promise<errors.Problem> {
  let problem = problemOf(error)
  if (problem.code === 'decryption-failed')
    request.server.metrics.decryptionFailures.inc({ where: 'request' })
  try {
    // What is wrong with a request is for known callers alone: the others get 401.
    if (!request.caller && problem.status !== 401) await request.server.authenticate(request, false)
    await recordDenial(request, problem)
  } catch (failure) {
    problem = problemOf(failure)
  }
  logProblem(problem, request)
  return problem
}

/** Answers a problem: the only place that does, but for surfaces that have a form of their own for it. */
async function answerSettled(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  return send(await settledProblem(error, request), request, reply)
}

/** The same for what Fastify refuses before there is a caller who could be denied anything. */
export function answerProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = problemOf(error)
  logProblem(problem, request)
  return send(problem, request, reply)
}

function send(problem: errors.Problem, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (!reply.hasHeader('x-request-id')) catchUp(request, reply)
  if (problem.members.retryAfter !== undefined) reply.header('retry-after', problem.members.retryAfter)
  // A string is sent as it is: an answer about an error cannot fail in its turn.
  return reply
    .code(problem.status)
    .type('application/problem+json; charset=utf-8')
    .send(JSON.stringify(problemBody(problem, request.id)))
}

// The router refuses some URLs before any hook has run: what the hooks would have done, is done here.
function catchUp(request: FastifyRequest, reply: FastifyReply): void {
  reply.headers({ ...leastHeaders, 'x-request-id': request.id })
  reply.raw.once('finish', () => logRequest(request, reply))
}

function logProblem(problem: errors.Problem, request: FastifyRequest): void {
  const { code, status } = problem
  if (status >= 500) request.log.error({ code, err: problem.cause ?? problem }, 'failed')
  else request.log.debug({ code, status }, 'refused')
}

export const errorHandler = fp(
  async (app) => {
    app.setErrorHandler(answerSettled)
    app.setNotFoundHandler((request, reply) => answerProblem(new errors.NotFound(), request, reply))
    // An Expect that is not known is ignored (RFC 9110, 10.1.1); Node's own refusal has no body.
    app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  },
  { name: 'error-handler', fastify: '5.x' }
)

/** A problem on a connection whose request could not even be read; closes it. */
export function answerUnreadable(error: NodeJS.ErrnoException, socket: import('node:net').Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const status =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400
  const title = STATUS_CODES[status]!
  const requestId = crypto.randomUUID()
  const body = JSON.stringify({
    status,
    title,
    code: 'bad-request',
    detail: 'The request cannot be read.',
    requestId
  })
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${title}\r\ncontent-type: application/problem+json; charset=utf-8\r\n` +
        Object.entries(leastHeaders)
          .map(([name, value]) => `${name}: ${value}\r\n`)
          .join('') +
        `x-request-id: ${requestId}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
    )
  }
  socket.destroySoon()
}
