import type { FastifyRequest } from 'fastify'
import type { Problem } from './problems.ts'

const REALM = 'Bearer realm="latchkey"'

/**
 * Returns the WWW-Authenticate header of a refusal (RFC 9110, 15.5.2; RFC 6750, 3), or undefined if it has
 * none. Names an error only if the request presents a token, and the operation looks at it: sign-in does not.
 */
export function challengeOf(problem: Problem, { headers, routeOptions }: FastifyRequest): string | undefined {
  if (problem.status === 401) {
    const presentsToken = /^Bearer /i.test(headers.authorization ?? '')
    return presentsToken && problem.code === 'unauthenticated' ? `${REALM}, error="invalid_token"` : REALM
  }
  if (problem.code !== 'insufficient-scope') return undefined
  const { scopes } = routeOptions.config as { scopes?: readonly string[] }
  // No scope suffices for an operation without any.
  const scope = scopes?.length ? `, scope="${scopes.join(' ')}"` : ''
  return `${REALM}, error="insufficient_scope"${scope}`
}
