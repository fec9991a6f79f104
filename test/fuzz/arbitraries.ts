import fc, { type Arbitrary } from 'fast-check'
import { Blank } from './blank.ts'
import { pattern, SENSIBLE } from './sensible.ts'

/** The keywords in the schemas of requests. */
export interface Schema {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  format?: string
  pattern?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean
}

const blank = (of: Blank['of'], kind = '') => fc.nat(11).map((nth) => new Blank(of, nth, kind))

/** The kinds of ids by property or parameter name. The kind of `id` depends on its path. */
const KINDS: Record<string, string> = {
  credentialTypeId: 'type',
  credentialId: 'credential',
  fieldId: 'field',
  fieldIds: 'field',
  fields: 'field',
  projectId: 'project',
  projectIds: 'project',
  project_id: 'project',
  userId: 'user',
  actorId: 'user',
  cursor: 'event',
  credentials: 'credential'
}
export const ALL_KINDS = ['type', 'credential', 'field', 'project', 'user', 'event', 'token', 'session']

/** Mostly an id of this kind, and sometimes one of another kind or an unknown one. */
export const idOf = (kind: string): Arbitrary<unknown> =>
  fc.oneof(
    { weight: 12, arbitrary: blank('id', kind) },
    { weight: 1, arbitrary: fc.constantFrom(...ALL_KINDS).chain((other) => blank('id', other)) },
    { weight: 1, arbitrary: fc.uuid() }
  )

/** Texts that often cause faults. */
const ODD_TEXTS = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  'x\udc00y',
  '\u202eright to left',
  '\ufeff',
  '__proto__',
  'constructor',
  'toString',
  "' or 1=1 --",
  '%',
  '_',
  '\\',
  '"',
  '..',
  '../../etc/passwd',
  '\r\nx: y',
  '\u0085',
  '1e400',
  '-0',
  'NaN',
  'null',
  'main',
  'İıſK',
  '\u{10ffff}',
  '[',
  '(a+)+$',
  '{"a":1}',
  '9'.repeat(40),
  '𝕏'.repeat(101),
  'x'.repeat(257),
  'e\u0301'.repeat(1100),
  'x'.repeat(9000)
]
export const oddText: Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...ODD_TEXTS) },
  // Texts that Postgres cannot store, often, because only few of them get that far.
  { weight: 2, arbitrary: fc.constantFrom('a\0b', 'x\udc00y') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ maxLength: 40 }) }
)
const NUMBERS = [0, -0, -1, 1, 0.5, 2 ** 31 - 1, 2 ** 31, 2 ** 53, -(2 ** 63), 1e21, 1e308, 5e-324]
const oddNumber = fc.oneof(fc.constantFrom(...NUMBERS), fc.double({ noNaN: true, noDefaultInfinity: true }))
const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  '',
  'x',
  'id',
  'ownerId',
  'builtIn',
  '$ref'
]

/** Deeply nested arrays or objects. */
const deep = fc.tuple(fc.integer({ min: 2, max: 40 }), fc.boolean()).map(([depth, isArray]) => {
  let value: unknown = 1
  for (let i = 0; i < depth; i++) value = isArray ? [value] : { a: value }
  return value
})

export const anything: Arbitrary<unknown> = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(null, true, false, [], {}, [[]], [null], { a: {} }) },
  { weight: 3, arbitrary: oddText },
  { weight: 2, arbitrary: oddNumber },
  { weight: 1, arbitrary: deep },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom(...NAMES).map((name) => Object.fromEntries([[name, { a: 1 }]])) }
)

const plainText = (min = 0, max = 40) =>
  fc
    .oneof(
      fc.string({ minLength: min, maxLength: Math.max(min, Math.min(max, 30)), unit: 'grapheme' }),
      // Exactly the maximum or the minimum length.
      fc.constantFrom(max, min).map((length) => 'x'.repeat(Math.min(length, 20_000)))
    )
    .filter((text) => text.length >= min && text.length <= max)

function validText(schema: Schema, name: string): Arbitrary<unknown> {
  const { format, minLength, maxLength } = schema
  if (format === 'uuid') return idOf(KINDS[name] ?? 'credential')
  if (format === 'email')
    return fc.oneof({ weight: 5, arbitrary: blank('email') }, { weight: 1, arbitrary: fc.emailAddress() })
  if (format === 'date-time') {
    const [min, max] = [new Date('2000-01-01'), new Date('2099-12-31')]
    return fc.date({ min, max, noInvalidDate: true }).map((date) => date.toISOString())
  }
  if (/password$/i.test(name)) return blank('password')
  if (name === 'environment') return fc.constantFrom('main', 'staging', 'x')
  if (name === 'consumer') return fc.oneof(fc.constantFrom('a', 'b'), fc.stringMatching(/^[!-~]{1,200}$/))
  if (name === 'pattern') return pattern
  if (schema.pattern) {
    const matching = fc.stringMatching(new RegExp(schema.pattern))
    return fc.oneof(
      fc.stringMatching(/^[a-z][a-z0-9]{0,20}$/),
      matching.filter((text) => text.length >= (minLength ?? 0) && text.length <= (maxLength ?? 1e9))
    )
  }
  return plainText(minLength, maxLength)
}

/** Resolves a schema that is a reference. */
export type Resolve = (schema: Schema) => Schema

/** Generates values that match the schema. `name` is the property, which determines the kind of an id. */
export function valid(resolve: Resolve, of: Schema, name = ''): Arbitrary<unknown> {
  const sensible = SENSIBLE[of.$ref?.split('/').at(-1) ?? '']
  const random = validByAll(resolve, resolve(of), name)
  return sensible ? fc.oneof({ weight: 3, arbitrary: sensible }, { weight: 1, arbitrary: random }) : random
}

function validByAll(resolve: Resolve, schema: Schema, name: string): Arbitrary<unknown> {
  if (schema.enum) return fc.constantFrom(...schema.enum)
  const [type, ...others] = [schema.type ?? []].flat()
  const value = () => {
    switch (type) {
      case 'string':
        return validText(schema, name)
      case 'integer':
      case 'number':
        return validNumber(schema)
      case 'boolean':
        return fc.boolean()
      case 'array':
        return validArray(resolve, schema, name)
      case 'object':
        return validObject(resolve, schema, name)
      default:
        return fc.oneof({ weight: 3, arbitrary: blank('secret') }, { weight: 1, arbitrary: anything })
    }
  }
  return others.includes('null')
    ? fc.oneof({ weight: 4, arbitrary: value() }, { weight: 1, arbitrary: fc.constant(null) })
    : value()
}

function validNumber({ minimum = -(2 ** 31), maximum = 2 ** 31 }: Schema): Arbitrary<number> {
  const small = fc.integer({ min: minimum, max: Math.min(maximum, minimum + 5) })
  return fc.oneof(
    { weight: 3, arbitrary: small },
    { weight: 1, arbitrary: fc.constantFrom(minimum, maximum) }
  )
}

function validArray(resolve: Resolve, schema: Schema, name: string): Arbitrary<unknown> {
  const { items = {}, minItems = 0, maxItems = 100, uniqueItems } = schema
  const lengths = { minLength: minItems, maxLength: Math.min(maxItems, Math.max(minItems, 4)) }
  const item = valid(resolve, items, name)
  const array = uniqueItems
    ? fc.uniqueArray(item, { ...lengths, selector: (value) => fc.stringify(value) })
    : fc.array(item, lengths)
  // A random array rarely has a value for each field that the type requires.
  return name === 'keys' ? fc.oneof({ weight: 4, arbitrary: blank('keys') }, array) : array
}

function validObject(resolve: Resolve, schema: Schema, name: string): Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties } = schema
  const entries = Object.entries(properties).map(([key, part]) => {
    // The kind of `id` is that of the property with the object.
    const value = valid(resolve, part, key === 'id' ? name : key)
    return [key, value] as const
  })
  const known = fc.record(Object.fromEntries(entries), { requiredKeys: required as never })
  if (additionalProperties !== true || entries.length > 0) return known
  const free = fc.constantFrom('user', 'apiKey', 'url')
  return fc.dictionary(free, fc.oneof({ weight: 3, arbitrary: blank('secret') }, anything), { maxKeys: 3 })
}

/** Generates values that violate the schema, mostly in one place only. */
export function broken(resolve: Resolve, of: Schema, name = ''): Arbitrary<unknown> {
  const schema = resolve(of)
  const types = [schema.type ?? []].flat()
  const ways: Arbitrary<unknown>[] = [anything]
  if (types.includes('string')) ways.push(brokenText(schema))
  if (types.includes('integer') || types.includes('number')) ways.push(brokenNumber(schema))
  if (types.includes('array')) ways.push(brokenArray(resolve, schema, name))
  // More can be wrong inside of an object than with the whole.
  if (types.includes('object')) {
    const inside = brokenObject(resolve, schema, name)
    ways.push(inside, inside, inside)
  }
  return fc.oneof(...ways)
}

function brokenText({ minLength = 0, maxLength = 1000 }: Schema): Arbitrary<unknown> {
  const lengths = [maxLength + 1, Math.max(minLength - 1, 0)]
  return fc.oneof(
    oddText,
    fc.constantFrom(...lengths).map((length) => 'x'.repeat(Math.min(length, 20_000)))
  )
}

function brokenNumber({ minimum = 0, maximum = 2 ** 53 }: Schema): Arbitrary<unknown> {
  return fc.oneof(fc.constantFrom(minimum - 1, maximum + 1, minimum + 0.5, `${minimum}`), oddNumber)
}

function brokenArray(resolve: Resolve, schema: Schema, name: string): Arbitrary<unknown> {
  const { items = {}, minItems = 0, maxItems = 100 } = schema
  const item = valid(resolve, items, name)
  return fc.oneof(
    { weight: 3, arbitrary: fc.tuple(item, broken(resolve, items, name)) },
    { weight: 1, arbitrary: item.map((one) => Array(maxItems + 1).fill(one)) },
    { weight: 1, arbitrary: item.map((one) => [one, one]) },
    { weight: 1, arbitrary: item.map((one) => Array(Math.max(minItems - 1, 0)).fill(one)) }
  )
}

function brokenObject(resolve: Resolve, schema: Schema, name: string): Arbitrary<unknown> {
  const { properties = {} } = schema
  const whole = valid(resolve, { ...schema, type: 'object' }, name) as Arbitrary<object>
  const put = (value: object, key: string, part: unknown) =>
    // Not by assignment: with the key `__proto__`, it would set the prototype.
    Object.fromEntries([...Object.entries(value).filter(([other]) => other !== key), [key, part]])
  const extra = fc.tuple(whole, fc.oneof(fc.constantFrom(...NAMES), oddText), anything)
  const changes: Arbitrary<unknown>[] = [extra.map(([value, key, part]) => put(value, key, part))]
  for (const [key, part] of Object.entries(properties)) {
    changes.push(
      whole.map((value) => Object.fromEntries(Object.entries(value).filter(([other]) => other !== key)))
    )
    const bad = fc.tuple(whole, broken(resolve, part, key === 'id' ? name : key))
    changes.push(bad.map(([value, wrong]) => put(value, key, wrong)))
  }
  return fc.oneof(...changes)
}
