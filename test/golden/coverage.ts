import type { Seen } from './recorder.ts'

export interface Contract {
  paths: Record<string, Record<string, Omit<Operation, 'method' | 'path'>>>
  components: { responses: Record<string, Response> }
}
interface Response {
  $ref?: string
  'x-problem-codes'?: string[]
}
export interface Operation {
  operationId: string
  requestBody?: object
  responses: Record<string, Response>
  security: Record<string, string[]>[]
  method: string
  path: string
}

export function operationsOf(contract: Contract): Operation[] {
  return Object.entries(contract.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      responses: resolved(operation.responses, contract),
      method: method.toUpperCase(),
      path
    }))
  )
}

function resolved(responses: Record<string, Response>, { components }: Contract): Record<string, Response> {
  return Object.fromEntries(
    Object.entries(responses).map(([status, response]) => [
      status,
      response.$ref ? components.responses[response.$ref.split('/').at(-1)!]! : response
    ])
  )
}

/** Statuses and codes that the contract declares but this script cannot produce, with the reason. */
const UNSEEN: Record<string, string> = {
  500: 'needs a fault of the service or a value that was tampered with: see the tests of faults and of keys',
  429: 'needs rate limits, which are off here: see the tests of rate limits',
  503: 'needs an unavailable database: see the tests of faults',
  'internal-error': 'needs a fault of the service: see the tests of faults',
  'decryption-failed': 'needs a value that was tampered with: see the tests of sealed values',
  'too-many-requests': 'needs rate limits, which are off here: see the tests of rate limits',
  unavailable: 'needs an unavailable database: see the tests of faults'
}

/** The same for single operations, with the reason or the test that covers them. */
const UNSEEN_OF: Record<string, string> = {
  'createAccessToken 409': 'test/features/things-of-others.test.ts',
  'createAccessToken token-revoked': 'test/features/things-of-others.test.ts',
  'addProjectMember too-many-members': 'test/features/things-of-others.test.ts',
  'createCredentialType too-many-types': 'test/features/credential-types/credential-types.test.ts',
  'putUsage 409': 'needs 10,000 usages',
  'putUsage too-many-usages': 'needs 10,000 usages: test/features/things-of-others.test.ts',
  'listCredentialsByProject 413': 'test/features/credentials/long-lists.test.ts',
  'listCredentialsByProject answer-too-large': 'test/features/credentials/long-lists.test.ts',
  'lightningListCredentials 413': 'test/features/credentials/long-lists.test.ts',
  'lightningListProjectCredentials 413': 'test/features/credentials/long-lists.test.ts',
  ...Object.fromEntries(
    [
      ...['deleteSession', 'endSession', 'changePassword', 'revokeAccessToken', 'createProject'],
      'createCredentialType'
    ].map((operation) => [`${operation} forbidden`, 'needs an administrator who is demoted in between'])
  )
}

/**
 * Returns a line for each declared status and code that was not seen, and for each that is not declared.
 */
export function gapsOf(operations: readonly Operation[], seen: readonly Seen[]): string[] {
  const outcomes = new Map(operations.map(({ operationId }) => [operationId, new Set<string>()]))
  for (const { method, path, status, code } of seen) {
    const operation = operationAt(operations, method, path)
    if (!operation) continue
    const had = outcomes.get(operation.operationId)!
    had.add(String(status))
    if (code) had.add(code)
  }
  return operations.flatMap(({ operationId, responses }) => {
    const had = outcomes.get(operationId)!
    const codes = Object.values(responses).flatMap((response) => response['x-problem-codes'] ?? [])
    // PATCH and PUT have the same handler, so a refusal by one of them is enough.
    const twin =
      outcomes.get(operationId.replace(/^patch/, operationId === 'patchEnvironment' ? 'put' : 'update')) ??
      had
    const isSeen = (outcome: string) => had.has(outcome) || (!/^[23]/.test(outcome) && twin.has(outcome))
    const declared = new Set([...Object.keys(responses), ...codes])
    const missing = [...declared].filter(
      (outcome) => !isSeen(outcome) && !UNSEEN[outcome] && !UNSEEN_OF[`${operationId} ${outcome}`]
    )
    return [
      ...missing.map((outcome) => `${operationId} never answered ${outcome}`),
      ...[...had]
        .filter((outcome) => !declared.has(outcome))
        .map((outcome) => `${operationId} answered ${outcome}: not declared`)
    ]
  })
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
