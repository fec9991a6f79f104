import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyBaseLogger, FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import { isDatabaseError } from '../db/errors.ts'
import type { LogStream } from './log-stream.ts'

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/

/** The caller's X-Request-Id when it is one that a log can hold, else a new one. */
export function requestIdOf(message: IncomingMessage): string {
  const given = message.headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
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

/** The logger's options: one JSON object a line, and a second fence around what is never passed to it anyway. */
export function loggerOptions(level: string, stream: LogStream) {
  return {
    level,
    stream,
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

declare module 'fastify' {
  interface FastifyInstance {
    requestLines: FastifyBaseLogger
  }
}

/** One line a request, and its id in the answer. */
export const requestLog = fp(
  async (app) => {
    // Its lines are made here of what may be told, so that nothing has to be looked for in them.
    app.decorate('requestLines', app.log.child({}, { redact: [] }))
    app.setChildLoggerFactory((parent, bindings, options) => onDemand(() => parent.child(bindings, options)))
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

const METHODS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent', 'child'] as const

/** A request's own logger, made when it is first used: most requests have one line only, which is not written by it. */
function onDemand(make: () => FastifyBaseLogger): FastifyBaseLogger {
  return new LoggerOnDemand(make) as unknown as FastifyBaseLogger
}

class LoggerOnDemand {
  #made: FastifyBaseLogger | undefined
  readonly #make: () => FastifyBaseLogger

  constructor(make: () => FastifyBaseLogger) {
    this.#make = make
  }

  get made(): FastifyBaseLogger {
    this.#made ??= this.#make()
    return this.#made
  }

  get level() {
    return this.made.level
  }
}

for (const method of METHODS) {
  Object.defineProperty(LoggerOnDemand.prototype, method, {
    value(this: LoggerOnDemand, ...args: unknown[]) {
      return (this.made[method] as (...args: unknown[]) => unknown)(...args)
    }
  })
}

export function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  // A route that has a level of its own, as probes do, has no line.
  if (request.routeOptions.logLevel) return
  request.server.requestLines.info(
    {
      requestId: request.id,
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
