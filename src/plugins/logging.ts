import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import { isDatabaseError } from '../db/sqlstate.ts'
import { uuidv7 } from '../ids.ts'

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/

/** The caller's X-Request-Id when it is one that a log can hold, else a new one. */
export function requestIdOf(message: IncomingMessage): string {
  const given = message.headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : uuidv7()
}

/** An error as the log has it. Postgres's sentences quote what was sent, so of its errors only the codes stay. */
function serialiseError(error: Error) {
  if (isDatabaseError(error)) {
    const { code, constraint, table, routine } = error
    return { type: 'DatabaseError', message: `SQLSTATE ${code}`, stack: '', code, constraint, table, routine }
  }
  return {
    type: error.name,
    message: error.message,
    stack: error.stack ?? '',
    code: (error as NodeJS.ErrnoException).code
  }
}

/** Takes the log's lines. */
export interface LogStream {
  write(line: string): void
}

/** The logger's options: one JSON object a line, and a second fence around what is never passed to it anyway. */
export function loggerOptions(level: string, stream: LogStream | undefined) {
  return {
    level,
    ...(stream && { stream }),
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    base: null,
    serializers: {
      err: serialiseError,
      req: ({ method }: { method: string }) => ({ method }),
      res: ({ statusCode }: { statusCode: number }) => ({ statusCode })
    },
    redact: {
      paths: [
        'headers',
        '*.headers',
        'body',
        '*.body',
        'cookie',
        'authorization',
        '*.password',
        '*.keyValue',
        '*.token'
      ],
      censor: '[redacted]'
    }
  } satisfies FastifyServerOptions['logger']
}

/** One line a request, and its id in the answer. */
export const requestLog = fp(
  async (app) => {
    app.addHook('onRequest', async (request, reply) => {
      reply.header('x-request-id', request.id)
    })
    app.addHook('onResponse', async (request, reply) => logRequest(request, reply))
  },
  { name: 'request-log', fastify: '5.x' }
)

export function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  request.log.info(
    {
      method: request.method,
      route: request.routeOptions.url ?? 'unknown',
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime * 10) / 10,
      principal: principalIdOf(request)
    },
    'request'
  )
}

function principalIdOf({ caller }: FastifyRequest): string | undefined {
  return caller?.type === 'project-token' ? caller.tokenId : caller?.userId
}
