import { type InputError, ValidationFailed } from '../../http/problems.ts'
import { hasNoValue, validateValue } from '../credential-types/field-values.ts'
import type { FieldRow } from '../credential-types/repository.ts'
import type { Values } from './sealing.ts'

export interface KeyInput {
  fieldId: string
  keyValue: unknown
}

const refuse = (path: string, code: string, message: string): never => {
  throw new ValidationFailed({ errors: [{ path, code, message } satisfies InputError] })
}

/**
 * The values that a credential has after `keys`: those it had, with each key sent put in its place. `null`
 * takes an optional one away. An empty text, which forms send, is no value either: on a secret field it
 * leaves what is there (forms cannot show it), on another one it takes it away. Throws ValidationFailed,
 * without a value in it, for keys that do not fit the type's fields, and when a required field ends up
 * without a value.
 */
export function applyKeys(fields: readonly FieldRow[], had: Values, keys: readonly KeyInput[]): Values {
  const byId = new Map(fields.map((field) => [field.id, field]))
  const values: Values = new Map(had)
  const seen = new Set<string>()
  keys.forEach(({ fieldId, keyValue }, index) => {
    const path = `/body/keys/${index}`
    const id = fieldId.toLowerCase()
    const field =
      byId.get(id) ?? refuse(`${path}/fieldId`, 'unknown-field', 'The type has no field of this id.')
    if (seen.has(id)) refuse(`${path}/fieldId`, 'repeated', 'This field is there twice.')
    seen.add(id)
    if (hasNoValue(keyValue, field.field_type)) {
      if (keyValue === null || !field.secret) values.delete(id)
    } else {
      const flaw = validateValue(field, keyValue)
      if (flaw) refuse(`${path}/keyValue`, flaw.code, flaw.message)
      values.set(id, keyValue)
    }
  })
  for (const field of fields) {
    if (field.required && !values.has(field.id)) {
      refuse('/body/keys', 'required', `The field ${field.field_name} needs a value.`)
    }
  }
  return values
}

/** The values that a new credential begins with: the fields' defaults. */
export function defaultsOf(fields: readonly FieldRow[]): Values {
  return new Map(
    fields.filter((field) => field.default_value !== null).map((field) => [field.id, field.default_value])
  )
}

/** The ids in the one form in which they are compared; throws ValidationFailed when one is there twice. */
export function distinctIds(ids: readonly string[], path: string): string[] {
  const distinct = ids.map((id) => id.toLowerCase())
  if (new Set(distinct).size < distinct.length) refuse(path, 'repeated', 'An entry is there twice.')
  return distinct
}
