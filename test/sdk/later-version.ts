import type { Test } from 'tap'
import { startFaultyProxy } from '../helpers/faulty-proxy.ts'

/** The code that the simulated later version returns for `not-found`. It is not in the document. */
export const LATER_CODE = 'not-found-any-more'

/**
 * Starts a proxy that simulates a later version of the service at `origin`: every object has an additional
 * property, and one code is new. Returns the origin of the proxy.
 */
export async function startLaterVersion(t: Test, origin: string): Promise<string> {
  const proxy = await startFaultyProxy(t, origin)
  proxy.rewrite = (body) => (body.length > 0 ? Buffer.from(later(body.toString())) : body)
  return proxy.origin
}

function later(json: string): string {
  const changed = JSON.parse(json, (key, value) => {
    if (key === 'code' && value === 'not-found') return LATER_CODE
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? { ...value, later: { added: true } } : value
  })
  return JSON.stringify(changed)
}
