import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import { isDatabaseError } from '../db/errors.ts'

/** Receives the log, one JSON line per call. */
export interface LogStream {
  write(line: string): void
}

const MAX_QUEUED_BYTES = 16 * 1024 * 1024

/**
 * Standard output. A reader that stalls or goes away does not affect the service: lines wait in memory, up to
 * a limit, or are lost.
 */
export function standardOutput(): LogStream {
  const { stdout } = process
  stdout.on('error', () => {})
  return {
    write(line) {
      if (stdout.writableLength < MAX_QUEUED_BYTES) stdout.write(line)
    }
  }
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/

/** The caller's X-Request-Id if it is safe to log, or a new one. */
export function requestIdOf(message: IncomingMessage): string {
  const id = message.headers['x-request-id']
  return typeof id === 'string' && REQUEST_ID.test(id) ? id : randomUUID()
}

/** Postgres quotes input in its messages, so of its errors only the codes are logged. */
function serializeError(error: Error) {
  if (isDatabaseError(error)) {
    const { code, constraint, table, routine } = error
    return { type: 'DatabaseError', message: `SQLSTATE ${code}`, stack: '', code, constraint, table, routine }
  }
  const { name, message, stack = '', code } = error as NodeJS.ErrnoException
  return { type: name, message, stack, code }
}

/**
 * Options of the logger. Redaction is a second line of defence: no caller passes these properties to the log.
 */
export function loggerOptions(level: string, stream: LogStream) {
  return {
    level,
    stream,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    base: null,
    serializers: {
      err: serializeError,
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

/** Sets X-Request-Id and logs one line per request. */
export const requestLog = fp(
  async (app) => {
    app.addHook('onRequest', (request, reply, done) => {
      reply.header('x-request-id', request.id)
      done()
    })
    app.addHook('onResponse', (request, reply, done) => {
      logRequest(request, reply)
      done()
    })
  },
  { name: 'request-log', fastify: '5.x' }
)

/** Logs one line for the request, unless the route, such as a probe, has a `logLevel` above `info`. */
export function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  const { caller } = request
  request.log.info(
    {
      method: request.method,
      route: request.routeOptions.url ?? 'unknown',
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime * 10) / 10,
      principal: caller?.type === 'project-token' ? caller.tokenId : caller?.userId
    },
    'request'
  )
}
