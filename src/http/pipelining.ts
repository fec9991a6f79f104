import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import { TooManyRequests } from './problems.ts'

/** Clients send a request after the previous response, whose last bytes may not have been sent yet. */
const MAX_UNANSWERED = 3

/**
 * Limits the requests in progress on a connection. Node handles each as it arrives, so the responses to a
 * client that sends many requests and reads nothing would all be kept in memory.
 */
export const pipelining = fp(
  async (app) => {
    const unanswered = new WeakMap<Socket, number>()
    app.addHook('onRequest', (request, reply, done) => {
      const { socket } = request.raw
      const count = (unanswered.get(socket) ?? 0) + 1
      unanswered.set(socket, count)
      reply.raw.once('close', () => unanswered.set(socket, unanswered.get(socket)! - 1))
      if (count <= MAX_UNANSWERED) return done()
      const detail = 'Too many requests at once on this connection; wait for a response first.'
      done(new TooManyRequests({ detail, retryAfter: 1 }))
    })
  },
  { name: 'pipelining', fastify: '5.x' }
)
