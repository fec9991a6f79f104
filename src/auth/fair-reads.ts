import type { ServerResponse } from 'node:http'
import fp from 'fastify-plugin'
import { withTurns } from '../db/long-reads.ts'
import { TooManyRequests } from '../http/problems.ts'
import { callerOf } from './principal.ts'

/** The maximum number of long reads of a caller at a time: fewer than the connections for long reads. */
const MAX_RUNNING = 2
const MAX_WAITING = 8
const MAX_WAIT_MS = 5_000

interface Reader {
  running: number
  /** Each starts the next request. */
  waiting: (() => void)[]
}

/**
 * Limits each caller to two requests with long reads at a time, across all their sessions and tokens. A
 * request has its turn from its first long read until its response has been sent or its connection has
 * closed, so responses that a client does not read take the memory of two at most. Up to eight more requests
 * wait, for up to five seconds; others are rejected.
 */
export const fairReads = fp(
  async (app) => {
    const readers = new Map<string, Reader>()

    async function takeTurn(key: string, response: ServerResponse): Promise<void> {
      const reader = readers.get(key) ?? { running: 0, waiting: [] }
      readers.set(key, reader)
      if (reader.running < MAX_RUNNING) reader.running++
      else if (reader.waiting.length < MAX_WAITING) await waitIn(reader, response)
      else throw tooMany()
      const end = () => {
        const next = reader.waiting.shift()
        if (next) return next()
        reader.running--
        if (reader.running === 0) readers.delete(key)
      }
      if (response.closed) end()
      else response.once('close', end)
    }

    function tooMany() {
      app.metrics.limitedRequests.inc({ by: 'long-reads' })
      return new TooManyRequests({
        detail: 'Too many of your requests for large responses are in progress; send fewer at a time.',
        retryAfter: 1
      })
    }

    function waitIn({ waiting }: Reader, response: ServerResponse): Promise<void> {
      return new Promise((resolve, reject) => {
        const stopWaiting = () => {
          clearTimeout(timer)
          response.off('close', giveUp)
        }
        const start = () => {
          stopWaiting()
          resolve()
        }
        const giveUp = () => {
          stopWaiting()
          waiting.splice(waiting.indexOf(start), 1)
          reject(tooMany())
        }
        const timer = setTimeout(giveUp, MAX_WAIT_MS)
        response.once('close', giveUp)
        waiting.push(start)
      })
    }

    app.addHook('preHandler', (request, reply, done) => {
      const caller = callerOf(request)
      const key = caller.type === 'project-token' ? caller.projectId : caller.userId
      let turn: Promise<void> | undefined
      withTurns(() => (turn ??= takeTurn(key, reply.raw)), done)
    })
  },
  { name: 'fair-reads', fastify: '5.x', dependencies: ['callers-only', 'metrics'] }
)
