import type { FieldType } from '../../../db/tables.ts'
import { JsonText, numberOf } from '../../../json.ts'
import { EXTRA_FIELD_IDS, RAW_TYPE_ID } from '../../credential-types/catalogue.ts'
import { hasNoValue, validateValue } from '../../credential-types/field-values.ts'
import { PatternSearch } from '../../credential-types/patterns.ts'
import type { FieldRow, TypeWithFields } from '../../credential-types/repository.ts'
import { jsonOf, type Values } from '../sealing.ts'
import { MAX_FURTHER, valuesByName } from '../values-by-name.ts'
import { invalid } from './errors.ts'
import type { Body } from './input.ts'

type Type = Pick<TypeWithFields, 'id' | 'fields'>

/**
 * Returns the values to store, by environment: those of the bodies, without defaults. A body of the built-in
 * type `raw` is the value of its only field; the properties of other bodies are field names. Throws
 * LightningInvalid, without values.
 */
export function valuesOf({ id, fields }: Type, bodies: ReadonlyMap<string, Body>): Map<string, Values> {
  const search = new PatternSearch()
  return new Map(
    [...bodies].map(([environment, body]) => [
      environment,
      id === RAW_TYPE_ID ? rawValues(fields, body) : typedValues(fields, body, search)
    ])
  )
}

function rawValues([field]: readonly FieldRow[], body: Body): Values {
  const error = validateValue(field!, body)
  return error ? invalid('body', error.message) : new Map([[field!.id, JsonText.of(body)]])
}

/**
 * Lightning converts strings for the numbers and booleans of its schemas, and keeps properties that a schema
 * does not have. Types that exist in Lightning too store these in their field `extra`, together with values
 * that their optional fields cannot hold, such as null.
 */
function typedValues(fields: readonly FieldRow[], body: Body, search: PatternSearch): Values {
  const extra = fields.find(({ id }) => EXTRA_FIELD_IDS.has(id))
  const byName = new Map(fields.filter((one) => one !== extra).map((field) => [field.field_name, field]))
  const values: Values = new Map()
  const further: [string, unknown][] = []
  const keep = (name: string, value: unknown) => {
    if (further.length === MAX_FURTHER)
      invalid('body', `has more than ${MAX_FURTHER} properties that are not fields`)
    further.push([name, value])
  }
  for (const [name, sent] of Object.entries(body)) {
    const field = byName.get(name)
    if (!field) {
      // The message omits the property's name: it may be a misplaced secret.
      if (!extra) return invalid('body', 'has a property that is not a field of the schema')
      keep(name, sent)
    } else if (hasNoValue(sent, field)) {
      if (extra && !field.required) keep(name, sent)
    } else {
      const value = cast(field, sent)
      const error = validateValue(field, value, search)
      if (!error) values.set(field.id, JsonText.of(value))
      else if (extra && !field.required && !CASTS[field.field_type]) keep(name, sent)
      else return invalid('body', `${field.field_name}: ${error.message}`)
    }
  }
  for (const field of fields) {
    if (field.required && !values.has(field.id)) invalid('body', `${field.field_name} can't be blank`)
  }
  if (extra && further.length > 0) values.set(extra.id, JsonText.of(furtherValue(extra, further)))
  return values
}

function furtherValue(extra: FieldRow, further: readonly [string, unknown][]): Body {
  const value = Object.fromEntries(further)
  const error = validateValue(extra, value)
  return error ? invalid('body', `properties that are not fields: ${error.message}`) : value
}

/** Converts strings that Lightning's clients send for values of other types. */
const CASTS: Partial<Record<FieldType, (text: string) => unknown>> = { number: toNumber, boolean: toBoolean }

function cast(field: FieldRow, value: unknown): unknown {
  return typeof value === 'string' ? (CASTS[field.field_type]?.(value) ?? value) : value
}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/

function toNumber(text: string): unknown {
  return NUMBER.test(text) ? numberOf(text) : undefined
}

function toBoolean(text: string): boolean | undefined {
  if (text === 'true' || text === '1') return true
  return text === 'false' || text === '0' ? false : undefined
}

/** The body in the response to a create: what `resolve` returns, which is as sent except for conversions. */
export function bodyOf({ id, fields }: Type, byEnvironment: ReadonlyMap<string, Values>): Body {
  const values = mainOf(byEnvironment)
  const stored = fields.flatMap((field) => {
    const value = values.get(field.id)
    return value ? [[field, jsonOf(value)] as const] : []
  })
  const body = valuesByName(stored)
  return id === RAW_TYPE_ID ? Object.fromEntries(body['body']?.members() ?? []) : body
}

/** The body in the response to a retry of a create. */
export function replayedBody(type: Type | undefined, bodies: ReadonlyMap<string, Body>): Body {
  try {
    return type ? bodyOf(type, valuesOf(type, bodies)) : mainOf(bodies)
  } catch {
    // The type has changed since then.
    return mainOf(bodies)
  }
}

const mainOf = <T>(byEnvironment: ReadonlyMap<string, T>) =>
  byEnvironment.get('main') ?? [...byEnvironment.values()][0]!
