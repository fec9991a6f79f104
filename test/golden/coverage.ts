import type { Seen } from './recorder.ts'

export interface Contract {
  paths: Record<string, Record<string, ContractOperation>>
}
interface ContractOperation {
  operationId: string
  requestBody?: object
  responses: Record<string, object>
  security: Record<string, string[]>[]
}
export interface Operation extends ContractOperation {
  method: string
  path: string
}

export function operationsOf(contract: Contract): Operation[] {
  return Object.entries(contract.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      method: method.toUpperCase(),
      path
    }))
  )
}

/** Statuses that the contract declares and this script cannot bring about, with the reason. */
const UNSEEN: Record<string, string> = {
  500: 'takes a fault of the service or a value that was tampered with: see the tests of faults and of keys',
  429: 'takes more requests than a minute has: see the tests of rate limits',
  503: 'takes a database that is away: see the tests of faults'
}

/** Statuses of single operations that take too many requests, with the test that has them. */
const UNSEEN_OF: Record<string, string> = {
  'createAccessToken 409': 'test/features/things-of-others.test.ts',
  'putUsage 409': 'takes 10,000 usages',
  'listCredentialsByProject 413': 'test/features/credentials/long-lists.test.ts',
  'lightningListCredentials 413': 'test/features/credentials/long-lists.test.ts',
  'lightningListProjectCredentials 413': 'test/features/credentials/long-lists.test.ts'
}

/** Returns a line for each declared status that was not seen, and for each status that is not declared. */
export function gapsOf(operations: readonly Operation[], seen: readonly Seen[]): string[] {
  const statuses = new Map(operations.map(({ operationId }) => [operationId, new Set<string>()]))
  const undeclared = new Set<string>()
  for (const { method, path, status } of seen) {
    const operation = operationAt(operations, method, path)
    if (!operation) continue
    statuses.get(operation.operationId)!.add(String(status))
    if (!operation.responses[status])
      undeclared.add(`${operation.operationId} answered ${status}: not declared`)
  }
  const missing = operations.flatMap(({ operationId, responses }) => {
    const had = statuses.get(operationId)!
    const gaps = Object.keys(responses).filter(
      (status) => !had.has(status) && !UNSEEN[status] && !UNSEEN_OF[`${operationId} ${status}`]
    )
    return gaps.map((status) => `${operationId} never answered ${status}`)
  })
  return [...missing, ...undeclared]
}

function operationAt(operations: readonly Operation[], method: string, path: string): Operation | undefined {
  const parts = path.split('?')[0]!.split('/')
  const fits = operations.filter((operation) => {
    const wanted = operation.path.split('/')
    return (
      operation.method === method &&
      wanted.length === parts.length &&
      wanted.every((part, index) => (part.startsWith('{') ? parts[index] !== '' : part === parts[index]))
    )
  })
  // `/users/me/password` before `/users/{id}/password`.
  return fits.sort((one, other) => one.path.split('{').length - other.path.split('{').length)[0]
}
