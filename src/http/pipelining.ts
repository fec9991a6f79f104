import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import { TooManyRequests } from './problems.ts'

/** Clients send a request when the one before is answered; its last bytes may be on their way still. */
const MAX_UNANSWERED = 3

/**
 * Bounds the requests of a connection that are not answered yet. Node starts on each as it arrives, so a
 * client that sends many and reads nothing would have all of their answers kept in memory.
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
      const detail = 'Too many requests at once on this connection.'
      done(new TooManyRequests({ detail, retryAfter: 1 }))
    })
  },
  { name: 'pipelining', fastify: '5.x' }
)
