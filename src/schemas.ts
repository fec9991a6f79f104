import { type Static, type TObject, type TProperties, type TSchema, Type } from '@sinclair/typebox'
import { type ProblemMembers, problems } from './errors.ts'

/** A plain `enum` of strings; TypeBox's own unions become `anyOf`, which reads badly in errors and SDKs. */
export function stringEnum<const T extends readonly string[]>(values: T, options: object = {}) {
  return Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options })
}

/** The enumerations that are named components of the document: the name by the values. */
export const enumerations = new Map<string, string>()

/**
 * A `stringEnum` that is the component `name` of the document wherever its values stand. Validators and serialisers keep
 * it in place, where it is faster than a reference.
 */
export function namedEnum<const T extends readonly string[]>(name: string, values: T, options: object = {}) {
  enumerations.set(JSON.stringify(values), name)
  return stringEnum(values, options)
}

/** The schema, or null: `type: [x, "null"]`. */
export function nullable<T extends TSchema>(schema: T) {
  const values = schema.enum ? { enum: [...schema.enum, null] } : {}
  return Type.Unsafe<Static<T> | null>({ ...schema, ...values, type: [schema.type, 'null'] })
}

/** The named components of the document: whatever is referred to. */
export const components = new Map<string, TSchema>()

/** The same schema with a description of its own. */
export function described<T extends TSchema>(schema: T, description: string) {
  return Type.Unsafe<Static<T>>({ ...schema, description })
}

/** A reference to a schema with an `$id`, which makes it a named component of the document. */
export function ref<T extends TSchema>(schema: T) {
  components.set(schema.$id!, schema)
  return Type.Unsafe<Static<T>>({ $ref: `${schema.$id}#` })
}

/** An object with these properties and no others. */
export function closed<T extends TProperties>(properties: T, options: object = {}): TObject<T> {
  return Type.Object(properties, { additionalProperties: false, ...options })
}

// The format alone would let `urn:uuid:` through, which Postgres does not read.
export const Id = Type.String({
  format: 'uuid',
  pattern: '^[0-9a-fA-F-]{36}$',
  examples: ['019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12']
})
export const Timestamp = Type.Unsafe<string>({
  type: 'string',
  format: 'date-time',
  description: 'RFC 3339, UTC, milliseconds',
  examples: ['2026-11-21T10:15:30.000Z']
})

/** Characters at most in a part of a path, which the router sees to before any schema; Node reads no longer request line. */
export const MAX_URL_PART = 16_384
/** The largest value of an integer column. */
const MAX_INT32 = 2_147_483_647

/** A counter that an integer column keeps: `minimum` (1, if not said) and up. */
export function counter(options: { minimum?: number; description?: string } = {}) {
  return Type.Integer({ format: 'int32', minimum: 1, maximum: MAX_INT32, ...options })
}

/** How many there are: no more than a JSON number can say exactly. */
export function quantity(description?: string) {
  return Type.Integer({
    format: 'int64',
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    ...(description && { description })
  })
}

/** Names of people, projects, types and credentials: no control characters, and not only white space. */
export const Name = Type.String({
  minLength: 1,
  maxLength: 200,
  pattern:
    '^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\u0000-\\u0020\\u007f-\\u00a0][^\\u0000-\\u001f\\u007f-\\u009f]*$',
  examples: ['Mail server']
})
/** A name as it is shown. What was taken is as `Name` says; of older ones, only the length is certain. */
export const ShownName = Type.String({ maxLength: 200, examples: ['Mail server'] })
export const Description = nullable(Type.String({ maxLength: 2000, examples: ['For the nightly report'] }))
export const Email = Type.String({ format: 'email', maxLength: 320, examples: ['ann@example.org'] })
export const Password = Type.String({ minLength: 12, maxLength: 256, examples: ['correct horse battery'] })

/** An id in a path. Not checked, so that what is no id is answered like an id that was never given. */
export const PathId = Type.String({
  maxLength: MAX_URL_PART,
  description: 'The id of what the path names; what is no id is answered as one that was never given',
  examples: ['019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12']
})
export const WithId = Type.Object({ id: PathId })

export const PageQuery = {
  page: Type.Optional(
    Type.Integer({
      format: 'int32',
      minimum: 1,
      maximum: 1_000_000_000,
      default: 1,
      description: 'Which page, from 1',
      examples: [1]
    })
  ),
  pageSize: Type.Optional(
    Type.Integer({
      format: 'int32',
      minimum: 1,
      maximum: 100,
      default: 20,
      description: 'How many on a page',
      examples: [20]
    })
  )
}
export const SearchQuery = {
  search: Type.Optional(
    Type.String({
      maxLength: 200,
      description: 'Part of the name, without regard to case; no wildcards',
      examples: ['mail']
    })
  )
}

/** The name of an environment. */
export const EnvironmentName = Type.String({
  pattern: '^[a-z0-9][a-z0-9_-]{0,31}$',
  description: 'A short slug',
  examples: ['staging']
})

/** One page of `item`s, as the component `name`. */
export function pageOf<T extends TSchema>(name: string, item: T, examples: unknown[] = []) {
  return closed(
    {
      data: Type.Array(ref(item), { maxItems: 100 }),
      total: quantity('How many there are on all pages'),
      page: Type.Integer({ format: 'int32', minimum: 1, maximum: 1_000_000_000 }),
      pageSize: Type.Integer({ format: 'int32', minimum: 1, maximum: 100 })
    },
    { $id: name, examples: [{ data: examples, total: examples.length, page: 1, pageSize: 20 }] }
  )
}

export const Success = closed(
  { success: Type.Literal(true) },
  { $id: 'Success', examples: [{ success: true }] }
)

/** The answer of actions that have no result. */
export const success = { success: true } as const

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

/** What problems of this code tell besides. */
const MEMBERS: Record<string, ProblemMembers> = {
  'validation-failed': { errors: [InputError.examples[0]] },
  'type-in-use': { usageCount: 3 },
  'credential-in-use': { consumers: ['workflow:42'] },
  'new-owner-may-not-link': { projects: ['019a0b1c-2d3e-7f40-8a51-00000000000c'] }
}

function problemExample(code: string) {
  const { status, title, detail } = problems.get(code)!
  return { status, title, code, detail, requestId: REQUEST_ID, ...MEMBERS[code] }
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
  412: 'The revision in `If-Match` is not the current one',
  413: 'The body is over 1 MiB',
  414: 'A part of the path is too long',
  415: 'The body is not `application/json` in UTF-8',
  422: 'The `Idempotency-Key` was used with another request',
  429: 'Too many attempts; see `Retry-After`',
  500: 'A fault of the service',
  503: 'The database is away or busy; see `Retry-After`'
}

const RETRIED = new Set([429, 503])

/** When to try again, of what passes. */
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

/** The response entries for these statuses and for what any operation can answer. */
export function problemResponses(...statuses: number[]) {
  const all = [...new Set([...statuses, 500, 503])].sort((a, b) => a - b)
  return Object.fromEntries(all.map((status) => [status, problemResponse(status)]))
}

function problemResponse(status: number) {
  const codes = [...problems].filter(([, entry]) => entry.status === status).map(([code]) => code)
  const examples = Object.fromEntries(codes.map((code) => [code, { value: problemExample(code) }]))
  return {
    description: `${DESCRIPTIONS[status]} (${codes.map((code) => `\`${code}\``).join(', ')})`,
    ...(RETRIED.has(status) && { headers: RetryAfterHeader }),
    content: { 'application/problem+json': { schema: ref(Problem), examples } }
  }
}

/** A response entry with a JSON body of `schema`. */
export function answer<T extends TSchema>(
  description: string,
  schema: T,
  headers: Record<string, object> = {}
) {
  return {
    description,
    headers,
    content: { 'application/json': { schema: schema.$id ? ref(schema) : schema } }
  }
}

/** Response headers, for `answer`. */
export const ETagHeader = {
  ETag: {
    type: 'string',
    maxLength: 12,
    pattern: '^"[0-9]+"$',
    description: 'The revision, for `If-Match`',
    examples: ['"3"']
  }
}
export const LocationHeader = {
  Location: {
    type: 'string',
    description: 'Where it is',
    examples: ['/api/v1/projects/019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12']
  },
  'Idempotency-Replayed': {
    type: 'string',
    enum: ['true'],
    description: 'The answer to an earlier request of this `Idempotency-Key`'
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether the text is an id; Postgres would refuse any other with an error. */
export function isUuid(text: string | undefined): text is string {
  return text !== undefined && UUID.test(text)
}
