import { EXTRA_FIELD_IDS } from '../credential-types/catalogue.ts'
import type { FieldRow } from '../credential-types/repository.ts'

declare global {
  interface JSON {
    /** Returns an object that `JSON.stringify` writes as this text. */
    rawJSON(text: string): object
    isRawJSON(value: unknown): boolean
  }
}

/** True for a JSON object. A number that is kept as its text is none. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value)

/**
 * Returns values by the names of their fields, as they are handed out. The members of `extra` are values of
 * their own; where one has the name of a field, the field's value is returned.
 */
export function valuesByName(values: readonly (readonly [FieldRow, unknown])[]): Record<string, unknown> {
  const isExtra = ([field, value]: readonly [FieldRow, unknown]) =>
    EXTRA_FIELD_IDS.has(field.id) && isObject(value)
  const named = values
    .filter((one) => !isExtra(one))
    .map(([field, value]) => [field.field_name, value] as const)
  const further = values.filter(isExtra).flatMap(([, value]) => Object.entries(value as object))
  return Object.fromEntries([...named, ...further, ...named])
}
