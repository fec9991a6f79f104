import type { ValidateFunction } from 'ajv'
import { isRawNumber } from '../json.ts'
import { components } from './schemas.ts'

/** Returns a validator that accepts what `validate` does, and reports the errors that `findAll` finds. */
export function withAllErrors(
  validate: ValidateFunction,
  findAll: ValidateFunction,
  schema: unknown
): ValidateFunction {
  const call = Object.assign(
    (data: unknown) => {
      if (validate(data)) return true
      const isFound = !findAll(excerpt(data, schema))
      call.errors = isFound ? findAll.errors : validate.errors
      return false
    },
    { errors: undefined as ValidateFunction['errors'] }
  )
  return call as ValidateFunction
}

interface Shape {
  $ref?: string
  type?: string | string[]
  properties?: Record<string, unknown>
  additionalProperties?: unknown
  items?: unknown
  maxItems?: number
}

/**
 * Copies the part of the data in which a validator finds all kinds of errors. It keeps one item more than
 * `maxItems` allows, and one unknown property, so the schema bounds the work, whatever the size of the data.
 */
export function excerpt(data: unknown, schema: unknown): unknown {
  if (typeof data !== 'object' || data === null || isRawNumber(data)) return data
  const { properties, additionalProperties, items, maxItems } = resolved(schema)
  if (Array.isArray(data)) {
    if (items === undefined) return data
    const kept = maxItems === undefined ? data : data.slice(0, maxItems + 1)
    return kept.map((item) => excerpt(item, items))
  }
  if (!properties || additionalProperties !== false) return data
  const members = data as Record<string, unknown>
  const known = Object.keys(properties).filter((name) => Object.hasOwn(members, name))
  const copy = Object.fromEntries(known.map((name) => [name, excerpt(members[name], properties[name])]))
  return hasOthers(members, properties) ? { ...copy, '': null } : copy
}

function hasOthers(members: object, properties: object): boolean {
  for (const name in members) if (!Object.hasOwn(properties, name)) return true
  return false
}

/** Resolves a reference to a component. Returns any other schema unchanged. */
export function resolved(schema: unknown): Shape {
  const shape = (schema ?? {}) as Shape
  return shape.$ref ? ((components.get(shape.$ref.replace('#', '')) ?? {}) as Shape) : shape
}
