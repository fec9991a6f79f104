import { Type } from '@sinclair/typebox'
import { INPUT_ERRORS } from './input-error-codes.ts'
import { MAX_ERRORS, type ProblemClass, type ProblemKind, typeOf } from './problem.ts'
import { type ProblemMembers, problems } from './problems.ts'
import { closed, extensibleEnum, Id, MAX_INT32, quantity, ref } from './schemas.ts'

/** Returns an extensible enumeration whose description lists the codes with their meanings. */
function codes(name: string, meanings: Iterable<readonly [code: string, meaning: string]>) {
  const all = [...meanings]
  const lines = all.map(([code, meaning]) => `- \`${code}\`: ${meaning}`)
  const description = `A stable code for programs. Later versions may add codes.\n\n${lines.join('\n')}`
  return extensibleEnum(
    name,
    description,
    all.map(([code]) => code)
  )
}

export const InputError = closed(
  {
    path: Type.String({ description: 'A JSON pointer into the request', examples: ['/body/credentialName'] }),
    code: codes('InputErrorCode', Object.entries(INPUT_ERRORS)),
    message: Type.String({
      description: 'A sentence that says what is expected',
      examples: ['This is required.']
    })
  },
  {
    $id: 'InputError',
    description: 'One fault of the request. It never contains what was sent',
    examples: [{ path: '/body/credentialName', code: 'required', message: 'This is required.' }]
  }
)

const REQUEST_ID = '7d8f9a52-6a37-4b6e-9a3c-2f1f3c1b8f11'

/** Examples of the members that only some codes have. */
const EXAMPLE_MEMBERS: Record<string, ProblemMembers> = {
  'validation-failed': { errors: [InputError.examples[0]] },
  'type-in-use': { usageCount: 3 },
  'credential-in-use': { consumers: ['workflow:42'] },
  'new-owner-may-not-link': { projects: ['019a0b1c-2d3e-7f40-8a51-00000000000c'] }
}

const exampleOf = ({ code, status, title, detail }: ProblemKind) => ({
  type: typeOf(code),
  status,
  title,
  code,
  detail,
  requestId: REQUEST_ID,
  ...EXAMPLE_MEMBERS[code]
})

/** RFC 9457. */
export const Problem = closed(
  {
    type: Type.String({
      description: 'The path of a page of this service that explains the code',
      examples: ['/docs/problems/not-found']
    }),
    status: Type.Integer({ format: 'int32', minimum: 400, maximum: 599, examples: [404] }),
    title: Type.String({ description: 'The same for every problem with this code', examples: ['Not found'] }),
    code: codes(
      'ProblemCode',
      [...problems].map(([code, { detail }]) => [code, detail])
    ),
    detail: Type.String({ description: 'A sentence for people' }),
    requestId: Type.String({
      maxLength: 128,
      description: 'The same id as in `X-Request-Id` and in the logs',
      examples: [REQUEST_ID]
    }),
    errors: Type.Optional(
      Type.Array(ref(InputError), {
        maxItems: MAX_ERRORS,
        description:
          'Up to 50 faults. Present if the input is invalid, if a name is ambiguous, if fields are in use, ' +
          'and with `onError: fail`'
      })
    ),
    usageCount: Type.Optional(quantity('With `type-in-use`: the number of credentials of the type')),
    consumers: Type.Optional(
      Type.Array(Type.String({ maxLength: 200 }), {
        description: 'With `credential-in-use`: the consumers that depend on the credential'
      })
    ),
    projects: Type.Optional(
      Type.Array(Id, {
        description: 'With `new-owner-may-not-link`: the ids of the projects that the credential is linked to'
      })
    )
  },
  {
    $id: 'Problem',
    description: 'An error response (RFC 9457)',
    examples: [exampleOf(problems.get('not-found')!)]
  }
)

const PROBLEM = ref(Problem)

const RETRYABLE = new Set([429, 503])

const RetryAfterHeader = {
  'Retry-After': {
    type: 'integer',
    format: 'int32',
    minimum: 1,
    maximum: MAX_INT32,
    description: 'Seconds to wait before the next attempt',
    examples: [2]
  }
}

const ChallengeHeader = {
  'WWW-Authenticate': {
    type: 'string',
    description: 'What is wrong with the token, and the scopes that the operation accepts (RFC 6750)',
    examples: ['Bearer realm="latchkey", error="invalid_token"']
  }
}

/** The headers of an error response with this status. */
export const refusalHeaders = (status: number) => ({
  ...(RETRYABLE.has(status) && RetryAfterHeader),
  ...((status === 401 || status === 403) && ChallengeHeader)
})

/** The OpenAPI responses of an operation that returns these problems, by status. */
export function problemResponses(classes: readonly ProblemClass[]): Record<string, object> {
  const kinds = [...new Set(classes.map(({ kind }) => kind))].sort((a, b) => (a.code < b.code ? -1 : 1))
  const byStatus = Map.groupBy(kinds, ({ status }) => status)
  return Object.fromEntries([...byStatus].map(([status, kinds]) => [status, responseOf(status, kinds)]))
}

function responseOf(status: number, kinds: readonly ProblemKind[]) {
  const headers = refusalHeaders(status)
  const examples = Object.fromEntries(kinds.map((kind) => [kind.code, { value: exampleOf(kind) }]))
  return {
    description: kinds.map(({ code, title }) => `${title} (\`${code}\`)`).join(', '),
    ...(Object.keys(headers).length > 0 && { headers }),
    content: { 'application/problem+json': { schema: PROBLEM, examples } }
  }
}
