import { type Static, type TObject, type TProperties, type TSchema, Type } from '@sinclair/typebox'
import { MAX_PASSWORD, MAX_TYPED, MIN_PASSWORD } from '../crypto/passwords.ts'
import { MAX_EMAIL } from '../emails.ts'
import { MAX_NAME } from '../names.ts'

/** A plain `enum` of strings. TypeBox's unions become `anyOf`, which gives poor error messages and SDKs. */
export function stringEnum<const T extends readonly string[]>(values: T, options: object = {}) {
  return Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options })
}

/** The enumerations that are components of the document, by the JSON of their values. */
export const enumerations = new Map<string, { name: string; component: object }>()

/**
 * A `stringEnum` that becomes the component `name` in the document. Validators keep it inline, which is
 * faster.
 */
export function namedEnum<const T extends readonly string[]>(name: string, values: T, options: object = {}) {
  enumerations.set(JSON.stringify(values), { name, component: { type: 'string', enum: values } })
  return stringEnum(values, options)
}

/**
 * As `namedEnum`, for an enumeration to which later versions may add values. In the document it is a string
 * with `x-extensible-enum`, so that clients that were generated earlier accept the new values.
 */
export function extensibleEnum<const T extends readonly string[]>(
  name: string,
  description: string,
  values: T,
  options: object = {}
) {
  const component = {
    type: 'string',
    maxLength: 64,
    description,
    'x-extensible-enum': values,
    examples: [values[0]]
  }
  enumerations.set(JSON.stringify(values), { name, component })
  return stringEnum(values, options)
}

/** Adds null to the schema's types: `type: [x, "null"]`. */
export function nullable<T extends TSchema>(schema: T) {
  const values = schema.enum ? { enum: [...schema.enum, null] } : {}
  return Type.Unsafe<Static<T> | null>({ ...schema, ...values, type: [schema.type, 'null'] })
}

/** The schemas that `ref` has made components of the document. */
export const components = new Map<string, TSchema>()

/** The components that are a `oneOf` in the document, by name. */
export const choices = new Map<string, object>()

/**
 * One of several objects, with `property` as the discriminator. In the document it is a component with
 * `oneOf`. Serializers get one object with the properties of all, because with `oneOf` they would validate
 * every response.
 */
export function oneOf<P extends Record<string, TObject>>(
  property: string,
  parts: P,
  { $id, description }: { $id: string; description: string }
) {
  const refs = Object.entries(parts).map(([value, part]) => [value, ref(part).$ref!] as const)
  choices.set($id, {
    description,
    examples: Object.values(parts).flatMap(({ examples = [] }) => examples as unknown[]),
    oneOf: refs.map(([, $ref]) => ({ $ref })),
    discriminator: { propertyName: property, mapping: Object.fromEntries(refs) }
  })
  const properties = Object.assign({}, ...Object.values(parts).map((part) => part.properties))
  properties[property] = Type.String()
  return Type.Unsafe<Static<P[keyof P]>>({ ...closed(properties), required: [property], $id })
}

/** A copy of the schema with another description. */
export function described<T extends TSchema>(schema: T, description: string) {
  return Type.Unsafe<Static<T>>({ ...schema, description })
}

/** A reference to a schema with an `$id`, which makes it a named component of the document. */
export function ref<T extends TSchema>(schema: T) {
  components.set(schema.$id!, schema)
  return Type.Unsafe<Static<T>>({ $ref: `${schema.$id}#` })
}

/** An optional property that the validator fills with its default, so that handlers always find it. */
export function withDefault<T extends TSchema>(schema: T): T {
  return Type.Optional(schema) as TSchema as T
}

/** An object without additional properties. */
export function closed<T extends TProperties>(properties: T, options: object = {}): TObject<T> {
  return Type.Object(properties, { additionalProperties: false, ...options })
}

// The format alone allows `urn:uuid:`, which Postgres does not parse.
export const Id = Type.String({
  format: 'uuid',
  pattern: '^[0-9a-fA-F-]{36}$',
  expected: 'a UUID',
  examples: ['019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12']
})
export const Timestamp = Type.Unsafe<string>({
  type: 'string',
  format: 'date-time',
  description: 'RFC 3339, UTC, milliseconds',
  examples: ['2026-11-21T10:15:30.000Z']
})

/** Longest path segment; the router enforces it, and Node limits the request line to about as much. */
export const MAX_URL_PART = 16_384
/** The largest value of an integer column. */
export const MAX_INT32 = 2_147_483_647

/** A number in an integer column; at least 1 by default. */
export function counter(options: { minimum?: number; description?: string } = {}) {
  return Type.Integer({ format: 'int32', minimum: 1, maximum: MAX_INT32, ...options })
}

/** A count; at most the largest exact integer in JSON. */
export function quantity(description?: string) {
  return Type.Integer({
    format: 'int64',
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    ...(description && { description })
  })
}

/** Uses only syntax that all regular expression dialects share. */
const VISIBLE_TEXT = '^[^\\x00-\\x1f\\x7f]*[^\\x00-\\x20\\x7f][^\\x00-\\x1f\\x7f]*$'

/** A label: no control characters, not only white space. `textRule` is stricter than the pattern. */
export const Label = Type.String({
  textRule: 'label',
  minLength: 1,
  maxLength: MAX_NAME,
  pattern: VISIBLE_TEXT,
  examples: ['Mail server']
})
/** A name of a user, project, type, token or credential. Handlers get it as `cleanName` returns it. */
export const Name = Type.String({
  ...Label,
  textRule: 'name',
  description: 'Stored trimmed and in NFC; no control or invisible characters'
})
/** A name to look up. It need not be a valid name. Its length is that of its NFC form. */
export const LookupName = Type.String({
  textRule: 'lookup',
  minLength: 1,
  maxLength: MAX_NAME,
  description: 'Case-insensitive; differences in Unicode form and spaces are ignored'
})
/** A name in a response. */
export const ShownName = Type.String({ maxLength: MAX_NAME, examples: ['Mail server'] })
export const Description = nullable(Type.String({ maxLength: 2000, examples: ['For the nightly report'] }))
/** An address of a user. Handlers get it as `cleanEmail` returns it. */
export const Email = Type.String({
  textRule: 'email',
  format: 'email',
  maxLength: MAX_EMAIL,
  examples: ['ann@example.org']
})
/**
 * A new password. Handlers get it as `cleanPassword` returns it; that is also the form whose length counts.
 */
export const Password = Type.String({
  textRule: 'password',
  minLength: MIN_PASSWORD,
  maxLength: MAX_PASSWORD,
  examples: ['correct horse battery']
})
/** A password as typed, which may have more characters than its NFC form. */
export const TypedPassword = Type.String({ minLength: 1, maxLength: MAX_TYPED })

/** The maximum number of fields of a credential type. */
export const MAX_FIELDS = 64

/**
 * The id of `what`, in a path. The validator of paths ignores the format, so that a malformed id gets the
 * same 404 as an unknown one.
 */
export function pathId(what: string) {
  return Type.String({
    format: 'uuid',
    description: `The id of the ${what}`
  })
}

/** The path parameter `id`, which is the id of `what`. */
export function withId(what: string) {
  return Type.Object({ id: pathId(what) })
}

export const EnvironmentName = Type.String({
  pattern: '^[a-z0-9][a-z0-9_-]{0,31}$',
  expected: 'a lowercase letter or digit, then up to 31 of a-z, 0-9, _ and -',
  description: 'The name of an environment; `main` is the default',
  examples: ['staging']
})

// Kotlin's generated clients have a `Success` of their own.
export const Success = closed(
  { success: Type.Boolean({ description: 'Always true' }) },
  { $id: 'SuccessAnswer', examples: [{ success: true }] }
)

/** The response of actions without a result. */
export const success = { success: true } as const

/** An OpenAPI response with a JSON body. */
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

export const ETagHeader = {
  ETag: {
    type: 'string',
    maxLength: 12,
    pattern: '^"[0-9]+"$',
    description: 'The revision of the credential, to send as `If-Match`',
    examples: ['"3"']
  }
}
export const LocationHeader = {
  Location: {
    type: 'string',
    description: 'The path of the new resource',
    examples: ['/api/v1/projects/019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12']
  },
  'Idempotency-Replayed': {
    type: 'string',
    description: '`true` if this is the response to an earlier request with the same `Idempotency-Key`',
    examples: ['true']
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Returns true for a UUID. Postgres raises an error for any other text. */
export function isUuid(text: string | undefined): text is string {
  return text !== undefined && UUID.test(text)
}
