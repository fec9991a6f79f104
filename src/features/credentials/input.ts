import { type InputError, type InputErrorCode, ValidationFailed } from '../../http/problems.ts'
import { JsonText } from '../../json.ts'
import { EXTRA_FIELD_IDS } from '../credential-types/catalogue.ts'
import { hasNoValue, validateValue } from '../credential-types/field-values.ts'
import { PatternSearch } from '../credential-types/patterns.ts'
import type { FieldRow } from '../credential-types/repository.ts'
import type { Values } from './sealing.ts'
import { namesInExtra, separateExtra } from './values-by-name.ts'

/** The most environments that a credential can have. */
export const MAX_ENVIRONMENTS = 32

export interface KeyInput {
  fieldId: string
  keyValue: unknown
}

const refuse = (path: string, code: InputErrorCode, message: string): never => {
  throw new ValidationFailed({ errors: [{ path, code, message } satisfies InputError] })
}

/**
 * Returns `previous` with the values of `keys` set. `null` removes a value. So does an empty string where it
 * is no value (see `hasNoValue`). An empty string leaves what forms cannot show: a secret, or a further
 * property of the field's name. Throws ValidationFailed for keys that do not match the fields, and for a
 * required field without a value. The error contains no values.
 */
export function applyKeys(fields: readonly FieldRow[], previous: Values, keys: readonly KeyInput[]): Values {
  const search = new PatternSearch()
  const byId = new Map(fields.map((field) => [field.id, field]))
  const values: Values = new Map(previous)
  const seen = new Set<string>()
  const changed = new Set<string>()
  let further: ReadonlySet<string> | undefined
  const furtherNames = () => {
    further ??= namesInExtra(fields, previous)
    return further
  }
  keys.forEach(({ fieldId, keyValue }, index) => {
    const path = `/body/keys/${index}`
    const id = fieldId.toLowerCase()
    const field =
      byId.get(id) ?? refuse(`${path}/fieldId`, 'unknown-field', 'The type has no field of this id.')
    if (seen.has(id)) refuse(`${path}/fieldId`, 'repeated', 'This field is there twice.')
    seen.add(id)
    const isHidden = () => (field.secret && values.has(id)) || furtherNames().has(field.field_name)
    if (keyValue === '' && isHidden()) return
    changed.add(id)
    if (hasNoValue(keyValue, field)) {
      values.delete(id)
    } else {
      const error = validateValue(field, keyValue, search)
      if (error) refuse(`${path}/keyValue`, error.code, error.message)
      values.set(id, JsonText.of(keyValue))
    }
  })
  const error = separateExtra(fields, values, changed)
  if (error) {
    const index = keys.findIndex(({ fieldId }) => EXTRA_FIELD_IDS.has(fieldId.toLowerCase()))
    refuse(`/body/keys/${index}/keyValue`, error.code, error.message)
  }
  for (const field of fields) {
    if (field.required && !values.has(field.id)) {
      refuse('/body/keys', 'required', `The field ${field.field_name} needs a value.`)
    }
  }
  return values
}

/** Returns the default values of the fields that have one. */
export function defaultsOf(fields: readonly FieldRow[]): Values {
  return new Map(
    fields.flatMap(({ id, default_value }) =>
      default_value === null ? [] : [[id, new JsonText(default_value)] as const]
    )
  )
}

/** Returns the ids in lower case. Throws ValidationFailed if two are equal. */
export function distinctIds(ids: readonly string[], path: string): string[] {
  const distinct = ids.map((id) => id.toLowerCase())
  if (new Set(distinct).size < distinct.length) refuse(path, 'repeated', 'An entry is there twice.')
  return distinct
}
