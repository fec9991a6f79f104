import type { FastifyRequest } from 'fastify'
import type { Problem } from './problems.ts'

const REALM = 'Bearer realm="latchkey"'

/**
 * Returns the WWW-Authenticate header of an error response (RFC 9110, 15.5.2; RFC 6750, 3), or undefined. It
 * contains an error only if the request presents a token that the operation reads: sign-in reads none.
 */
export function challengeOf(problem: Problem, { headers, routeOptions }: FastifyRequest): string | undefined {
  if (problem.status === 401) {
    const presentsToken = /^Bearer /i.test(headers.authorization ?? '')
    return presentsToken && problem.code === 'unauthenticated' ? `${REALM}, error="invalid_token"` : REALM
  }
  if (problem.code !== 'insufficient-scope') return undefined
  const { scopes } = routeOptions.config as { scopes?: readonly string[] }
  // For an operation without scopes, no scope is sufficient.
  const scope = scopes?.length ? `, scope="${scopes.join(' ')}"` : ''
  return `${REALM}, error="insufficient_scope"${scope}`
}
