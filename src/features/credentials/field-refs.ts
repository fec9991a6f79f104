import type { InputError } from '../../http/problems.ts'
import type { FieldRow } from '../credential-types/repository.ts'

/** A field in a request, by its id in lower case or by its name. `path` is its pointer. */
export interface FieldRef {
  by: 'id' | 'name'
  key: string
  path: string
}

/**
 * Returns a function that finds a field. It returns an error if the field is unknown or was requested before.
 */
export function fieldFinder(fields: readonly FieldRow[]): (ref: FieldRef) => FieldRow | InputError {
  const byKey = {
    id: new Map(fields.map((field) => [field.id, field])),
    name: new Map(fields.map((field) => [field.field_name, field]))
  }
  const found = new Set<FieldRow>()
  // Lists the known names once per response, because they can take 4 KiB.
  let known = ` Its fields are ${fields.map((field) => field.field_name).join(', ')}.`
  return ({ by, key, path }) => {
    const field = byKey[by].get(key)
    if (!field) {
      const message = `The type has no field with this ${by}.${known}`
      known = ''
      return { path, code: 'unknown-field', message }
    }
    if (found.has(field)) return { path, code: 'repeated', message: 'This field occurs more than once.' }
    found.add(field)
    return field
  }
}

export function isInputError(result: FieldRow | InputError): result is InputError {
  return 'code' in result
}
