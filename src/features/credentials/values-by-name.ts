import type { JsonText } from '../../json.ts'
import { EXTRA_FIELD_IDS } from '../credential-types/catalogue.ts'
import type { FieldRow } from '../credential-types/repository.ts'

/**
 * Returns values by the names of their fields, as they are handed out. The members of `extra` are values of
 * their own; where one has the name of a field, the field's value is returned.
 */
export function valuesByName(values: readonly (readonly [FieldRow, JsonText])[]): Record<string, JsonText> {
  const named: [string, JsonText][] = []
  const further: [string, JsonText][] = []
  for (const [field, value] of values) {
    const members = EXTRA_FIELD_IDS.has(field.id) ? value.members() : undefined
    if (members) further.push(...members)
    else named.push([field.field_name, value])
  }
  return Object.fromEntries([...further, ...named])
}
