import type * as generated from './generated/sdk.gen.ts'

export type OperationName = keyof typeof generated

/**
 * Failures after which a request is sent again: `transient` includes lost responses, `not-done` only
 * responses that say that nothing was done.
 */
export type RetryPolicy = 'transient' | 'not-done' | 'never'

export interface Call {
  name: OperationName
  retry: RetryPolicy
}

const operations = (...names: OperationName[]): ReadonlySet<OperationName> => new Set(names)

/** POSTs that change nothing, but are audited each time. */
const READS_OF_VALUES = operations('resolveCredentials', 'revealAppCredential')
const USAGES = operations('putUsage', 'deleteUsage')

/** True if the operation may invalidate cached values of credentials. */
export function changesValues(name: OperationName, method: string): boolean {
  return method !== 'GET' && !READS_OF_VALUES.has(name) && !USAGES.has(name)
}

/**
 * A retry must not repeat a change that an earlier attempt may have made. A POST needs an `Idempotency-Key`. A
 * PUT or PATCH, or the deletion of an environment, needs `If-Match`: otherwise it could undo a change made
 * between the two attempts.
 */
export function retryPolicyFor(
  name: OperationName,
  { method, headers }: Request,
  acceptsIdempotencyKey: boolean
): RetryPolicy {
  if (READS_OF_VALUES.has(name)) return 'not-done'
  if (method === 'POST') return acceptsIdempotencyKey ? 'transient' : 'never'
  const overwrites = (['PUT', 'PATCH'].includes(method) && !USAGES.has(name)) || name === 'deleteEnvironment'
  return overwrites && !/^"/.test(headers.get('if-match') ?? '') ? 'not-done' : 'transient'
}
