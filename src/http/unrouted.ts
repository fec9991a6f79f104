import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { MethodNotAllowed, NoSuchRoute, type Problem } from './problems.ts'

/** False if the request matches no route. The router accepts an empty segment as a parameter. */
export function isRouted({ is404, params }: FastifyRequest): boolean {
  return !is404 && !Object.values(params as object).includes('')
}

/**
 * Responds to requests that match no route, before their body is read: 405 with `Allow` if the path has
 * routes for other methods (RFC 9110, 15.5.6), and 404 otherwise. `OPTIONS` lists the methods of a path. This
 * needs no session, because the routes are public in the document. Register it before the routes.
 */
export const unrouted = fp<{
  answer: (problem: Problem, request: FastifyRequest, reply: FastifyReply) => FastifyReply
}>(
  async (app, { answer }) => {
    const routes: { path: RegExp; methods: string[] }[] = []
    app.addHook('onRoute', ({ url, method }) => {
      routes.push({ path: pathOf(url), methods: [method].flat() })
    })
    app.addHook('onRequest', (request, reply, done) => {
      if (isRouted(request)) return done()
      const path = decoded(request.url.split('?')[0]!)
      const methods = new Set(routes.flatMap((route) => (route.path.test(path) ? route.methods : [])))
      if (methods.size === 0) return answer(new NoSuchRoute(), request, reply)
      const allow = [...methods.add('OPTIONS')].sort()
      if (request.method !== 'OPTIONS') return answer(new MethodNotAllowed({ allow }), request, reply)
      reply.code(204).header('allow', allow.join(', ')).send()
    })
  },
  { name: 'unrouted', fastify: '5.x' }
)

/** Returns a regular expression that matches the paths of a route. */
function pathOf(url: string): RegExp {
  const parts = url.split('/').map((part) => {
    if (part === '*') return '.*'
    return part.startsWith(':') ? '[^/]+' : part.replace(/[^\w-]/g, '\\$&')
  })
  return new RegExp(`^${parts.join('/')}$`)
}

/** Decodes the path as the router does. Returns a path that cannot be decoded unchanged. */
function decoded(path: string): string {
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}
