import type { FastifyReply, FastifyRequest } from 'fastify'
import { reportProblem, setRefusalHeaders } from '../../../http/error-handler.ts'
import type { Problem } from '../../../http/problems.ts'

/** Validation messages in Lightning's words, by field. */
export class LightningInvalid extends Error {
  readonly errors: Record<string, string[]>

  constructor(errors: Record<string, string[]>) {
    super('invalid')
    this.errors = errors
  }
}

export function invalid(field: string, message: string): never {
  throw new LightningInvalid({ [field]: [message] })
}

/** Conflicts that Lightning returns as validation errors. */
const FIELD_CONFLICTS: Record<string, Record<string, string[]>> = {
  'name-taken': { name: ['you have another credential with the same name'] },
  'external-id-taken': { external_id: ['you already have a credential with the same external ID'] }
}

const STATUS_TEXTS: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Request Entity Too Large',
  414: 'Request-URI Too Long',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  503: 'Service Unavailable'
}

/** The error handler of these routes: sends errors in Lightning's format. */
export async function lightningErrorHandler(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  if (error instanceof LightningInvalid) return send(reply, 422, { errors: error.errors })
  const problem = await reportProblem(error, request)
  setRefusalHeaders(problem, request, reply)
  const errors = FIELD_CONFLICTS[problem.code] ?? fieldErrors(problem)
  if (errors) return send(reply, 422, { errors })
  return send(reply, problem.status, lightningFormat.bodyOf(problem))
}

/** The format of errors that do not belong to a field. */
export const lightningFormat = {
  type: 'application/json; charset=utf-8',
  bodyOf: ({ status, members: { consumers } }: Problem) => ({
    error: STATUS_TEXTS[status] ?? 'Internal Server Error',
    ...(consumers && { usages: consumers })
  })
}

function fieldErrors({ code, status, members }: Problem): Record<string, string[]> | undefined {
  if (status === 422) return { 'idempotency-key': ['was used with another request'] }
  const errors = members.errors ?? []
  if (code !== 'validation-failed' || !errors[0]?.path.startsWith('/body')) return undefined
  const fields: Record<string, string[]> = {}
  for (const { path, message } of errors) {
    const field = path.split('/')[2] ?? 'body'
    fields[field] = [...(fields[field] ?? []), `is invalid: ${message}`]
  }
  return fields
}

function send(reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply.code(status).type(lightningFormat.type).send(JSON.stringify(body))
}
