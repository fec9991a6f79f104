import { Type } from '@sinclair/typebox'
import { type ProblemMembers, problems } from './problems.ts'
import { closed, Id, MAX_INT32, quantity, ref } from './schemas.ts'

const Code = Type.String({
  maxLength: 64,
  pattern: '^[a-z0-9-]+$',
  description: 'A stable word for programs',
  examples: ['required']
})

export const InputError = closed(
  {
    path: Type.String({ description: 'A JSON pointer into the request', examples: ['/body/keys/0/fieldId'] }),
    code: Code,
    message: Type.String({ description: 'A sentence for people', examples: ['This is required.'] })
  },
  {
    $id: 'InputError',
    description: 'One thing that is wrong with the request, without what was sent',
    examples: [{ path: '/body/keys/0/fieldId', code: 'required', message: 'This is required.' }]
  }
)

const REQUEST_ID = '7d8f9a52-6a37-4b6e-9a3c-2f1f3c1b8f11'

/** Example values of the extension members, by code. */
const EXAMPLE_MEMBERS: Record<string, ProblemMembers> = {
  'validation-failed': { errors: [InputError.examples[0]] },
  'type-in-use': { usageCount: 3 },
  'credential-in-use': { consumers: ['workflow:42'] },
  'new-owner-may-not-link': { projects: ['019a0b1c-2d3e-7f40-8a51-00000000000c'] }
}

function problemExample(code: string) {
  const { status, title, detail } = problems.get(code)!
  return { status, title, code, detail, requestId: REQUEST_ID, ...EXAMPLE_MEMBERS[code] }
}

/** RFC 9457. */
export const Problem = closed(
  {
    status: Type.Integer({ format: 'int32', minimum: 400, maximum: 599, examples: [404] }),
    title: Type.String({ examples: ['Not found'] }),
    code: Type.Unsafe<string>({ ...Code, examples: ['not-found'] }),
    detail: Type.String({ description: 'A sentence for people' }),
    requestId: Type.String({
      maxLength: 128,
      description: 'As in X-Request-Id and in the logs',
      examples: [REQUEST_ID]
    }),
    errors: Type.Optional(Type.Array(ref(InputError))),
    usageCount: Type.Optional(quantity('With `type-in-use`')),
    consumers: Type.Optional(
      Type.Array(Type.String({ maxLength: 200 }), { description: 'With `credential-in-use`' })
    ),
    projects: Type.Optional(Type.Array(Id, { description: 'With `new-owner-may-not-link`' }))
  },
  {
    $id: 'Problem',
    description: 'Why the request was refused (RFC 9457)',
    examples: [problemExample('not-found')]
  }
)

const DESCRIPTIONS: Record<number, string> = {
  400: 'The request is not as the contract says',
  401: 'No valid session or token',
  403: 'The caller may see it, but may not do this',
  404: 'Not there, or the caller may not know of it',
  409: 'In conflict with what is there',
  410: 'It has expired',
  412: 'The revision in `If-Match` is not the current one',
  413: 'The body, or the answer, is too large',
  414: 'A part of the path is too long',
  415: 'The body is not `application/json` in UTF-8',
  422: 'The `Idempotency-Key` was used with another request',
  429: 'Too many requests or attempts; see `Retry-After`',
  500: 'A fault of the service',
  503: 'The database is away or busy; see `Retry-After`'
}

const RETRYABLE = new Set([429, 503])

export const RetryAfterHeader = {
  'Retry-After': {
    type: 'integer',
    format: 'int32',
    minimum: 1,
    maximum: MAX_INT32,
    description: 'Seconds to wait before the next attempt',
    examples: [2]
  }
}

export const ChallengeHeader = {
  'WWW-Authenticate': {
    type: 'string',
    description: 'RFC 6750: what is wrong with the token that was sent, and the scopes of which it takes one',
    examples: ['Bearer realm="latchkey", error="invalid_token"']
  }
}

/** The headers of a refusal with this status. */
export const refusalHeaders = (status: number) => ({
  ...(RETRYABLE.has(status) && RetryAfterHeader),
  ...((status === 401 || status === 403) && ChallengeHeader)
})

/** OpenAPI responses for these statuses, and for 500 and 503, which every operation has. */
export function problemResponses(...statuses: number[]) {
  const all = [...new Set([...statuses, 500, 503])].sort((a, b) => a - b)
  return Object.fromEntries(all.map((status) => [status, problemResponse(status)]))
}

function problemResponse(status: number) {
  const codes = [...problems].filter(([, entry]) => entry.status === status).map(([code]) => code)
  const examples = Object.fromEntries(codes.map((code) => [code, { value: problemExample(code) }]))
  return {
    description: `${DESCRIPTIONS[status]} (${codes.map((code) => `\`${code}\``).join(', ')})`,
    ...(Object.keys(refusalHeaders(status)).length > 0 && { headers: refusalHeaders(status) }),
    content: { 'application/problem+json': { schema: ref(Problem), examples } }
  }
}
