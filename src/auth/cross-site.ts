import type { FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * Returns true for a change that a browser sends on behalf of another site (OWASP CSRF Prevention: Origin,
 * Fetch Metadata). Other clients send neither header.
 */
export function isCrossSite(request: FastifyRequest, config: Config): boolean {
  if (SAFE.has(request.method)) return false
  const { origin, 'sec-fetch-site': site } = request.headers
  if (origin !== undefined) {
    if (config.corsOrigins.includes(origin)) return false
    const own = config.publicOrigin
      ? [config.publicOrigin]
      : [`http://${request.host}`, `https://${request.host}`]
    if (!own.includes(origin)) return true
  }
  return site !== undefined && site !== 'same-origin' && site !== 'none'
}
