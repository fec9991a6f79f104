import { type InputError, ValidationFailed } from '../../http/problems.ts'
import { isJsonObject, JsonText, mergePatch, parseLossless } from '../../json.ts'
import { EXTRA_FIELD_IDS } from '../credential-types/catalogue.ts'
import { hasNoValue, validateValue } from '../credential-types/field-values.ts'
import { PatternSearch } from '../credential-types/patterns.ts'
import type { FieldRow } from '../credential-types/repository.ts'
import { type FieldRef, fieldFinder, isInputError } from './field-refs.ts'
import { jsonOf, type Values } from './sealing.ts'
import { namesInExtra, separateExtra } from './values-by-name.ts'

/** The most environments that a credential can have. */
export const MAX_ENVIRONMENTS = 32

/** A value for a field. `path` is its pointer, which errors contain only if the type has the field. */
export interface ValueInput {
  field: FieldRef
  value: unknown
  path: string
}

/** The values of a request, by name or by id. */
export interface ValueInputs {
  entries: readonly ValueInput[]
  /** True if an object is merged into the stored value (RFC 7396), false if it replaces it. */
  merges: boolean
  /** Returns the pointer for the value of a field that was not sent. */
  pathOf(fieldName: string): string
}

/**
 * Returns `previous` with the values of `inputs` set. `null` removes a value, and so does an empty string
 * that is not valid as a value (see `hasNoValue`). An empty string keeps what forms cannot show: a secret, or
 * a member of `extra` with the name of the field. Throws ValidationFailed for inputs that do not match the
 * fields, and for a required field without a value. The errors contain no values.
 */
export function applyValues(fields: readonly FieldRow[], previous: Values, inputs: ValueInputs): Values {
  const { entries, merges, pathOf } = inputs
  const search = new PatternSearch()
  const find = fieldFinder(fields)
  const values: Values = new Map(previous)
  const changed = new Set<string>()
  const invalid = new Set<string>()
  const errors: InputError[] = []
  let further: ReadonlySet<string> | undefined
  const furtherNames = () => {
    further ??= namesInExtra(fields, previous)
    return further
  }
  let extraPath = ''
  for (const { field: ref, value: sent, path } of entries) {
    const field = find(ref)
    if (isInputError(field)) {
      // Unknown names share the pointer of their object.
      if (!errors.some((error) => error.path === field.path)) errors.push(field)
      continue
    }
    const { id } = field
    const before = values.get(id)
    const value = merges && isJsonObject(sent) ? mergePatch(before && parsed(before), sent) : sent
    if (EXTRA_FIELD_IDS.has(id)) extraPath = path
    const isHidden = () => (field.secret && values.has(id)) || furtherNames().has(field.field_name)
    if (value === '' && isHidden()) continue
    const error = hasNoValue(value, field) ? undefined : validateValue(field, value, search)
    if (error) {
      errors.push({ path, ...error })
      invalid.add(id)
      continue
    }
    changed.add(id)
    if (hasNoValue(value, field)) values.delete(id)
    else values.set(id, JsonText.of(value))
  }
  const error = separateExtra(fields, values, changed)
  if (error) errors.push({ path: extraPath, ...error })
  for (const { id, field_name, required } of fields) {
    if (!required || values.has(id) || invalid.has(id)) continue
    errors.push({
      path: pathOf(field_name),
      code: 'required',
      message: `The field ${field_name} is required.`
    })
  }
  if (errors.length > 0) throw new ValidationFailed({ errors })
  return values
}

const parsed = (value: Parameters<typeof jsonOf>[0]) => parseLossless(jsonOf(value).text)

/** Returns the default values of the fields that have one. */
export function defaultsOf(fields: readonly FieldRow[]): Values {
  return new Map(
    fields.flatMap(({ id, default_value }) =>
      default_value === null ? [] : [[id, new JsonText(default_value)] as const]
    )
  )
}
