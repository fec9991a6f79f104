import { type Static, type TObject, type TProperties, type TSchema, Type } from '@sinclair/typebox'
import { problems } from './errors.ts'

/** A plain `enum` of strings; TypeBox's own unions become `anyOf`, which reads badly in errors and SDKs. */
export function stringEnum<const T extends readonly string[]>(values: T, options: object = {}) {
  return Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options })
}

/** The schema, or null: `type: [x, "null"]`. */
export function nullable<T extends TSchema>(schema: T) {
  const values = schema.enum ? { enum: [...schema.enum, null] } : {}
  return Type.Unsafe<Static<T> | null>({ ...schema, ...values, type: [schema.type, 'null'] })
}

/** The named components of the document: whatever is referred to. */
export const components = new Map<string, TSchema>()

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

/** Names of people, projects, types and credentials: no control characters, and not only white space. */
export const Name = Type.String({
  minLength: 1,
  maxLength: 200,
  pattern:
    '^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\u0000-\\u0020\\u007f-\\u00a0][^\\u0000-\\u001f\\u007f-\\u009f]*$',
  examples: ['Mail server']
})
export const Description = nullable(Type.String({ maxLength: 2000, examples: ['For the nightly report'] }))
export const Email = Type.String({ format: 'email', maxLength: 320, examples: ['ann@example.org'] })
export const Password = Type.String({ minLength: 12, maxLength: 256, examples: ['correct horse battery'] })

export const WithId = Type.Object({ id: Type.String() })

export const PageQuery = {
  page: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1_000_000_000, default: 1, description: 'From 1' })
  ),
  pageSize: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 }))
}
export const SearchQuery = {
  search: Type.Optional(
    Type.String({ maxLength: 200, description: 'Part of the name, without regard to case; no wildcards' })
  )
}

/** One page of `item`s, as the component `name`. */
export function pageOf<T extends TSchema>(name: string, item: T, examples: unknown[] = []) {
  return closed(
    {
      data: Type.Array(ref(item)),
      total: Type.Integer({ minimum: 0, description: 'How many there are on all pages' }),
      page: Type.Integer({ minimum: 1 }),
      pageSize: Type.Integer({ minimum: 1, maximum: 100 })
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

export const InputError = closed(
  {
    path: Type.String({ description: 'A JSON pointer into the request', examples: ['/body/keys/0/fieldId'] }),
    code: Type.String({ examples: ['required'] }),
    message: Type.String()
  },
  { $id: 'InputError' }
)

/** RFC 9457. */
export const Problem = closed(
  {
    status: Type.Integer({ minimum: 400, maximum: 599, examples: [404] }),
    title: Type.String({ examples: ['Not found'] }),
    code: Type.String({ description: 'A stable word for programs', examples: ['not-found'] }),
    detail: Type.String({ description: 'A sentence for people' }),
    requestId: Type.String({ description: 'As in X-Request-Id and in the logs' }),
    errors: Type.Optional(Type.Array(ref(InputError))),
    usageCount: Type.Optional(Type.Integer({ minimum: 0, description: 'With `type-in-use`' })),
    consumers: Type.Optional(Type.Array(Type.String(), { description: 'With `credential-in-use`' })),
    projects: Type.Optional(Type.Array(Id, { description: 'With `new-owner-may-not-link`' }))
  },
  { $id: 'Problem' }
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

/** The response entries for these statuses and for what any operation can answer. */
export function problemResponses(...statuses: number[]) {
  const all = [...new Set([...statuses, 500, 503])].sort((a, b) => a - b)
  return Object.fromEntries(all.map((status) => [status, problemResponse(status)]))
}

function problemResponse(status: number) {
  const codes = [...problems].filter(([, entry]) => entry.status === status).map(([code]) => `\`${code}\``)
  return {
    description: `${DESCRIPTIONS[status]} (${codes.join(', ')})`,
    content: { 'application/problem+json': { schema: ref(Problem) } }
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
  etag: { type: 'string', description: 'The revision, for `If-Match`', examples: ['"3"'] }
}
export const LocationHeader = {
  location: { type: 'string', description: 'Where it is' },
  'idempotency-replayed': {
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
