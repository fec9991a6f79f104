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
  const named: [string, unknown][] = []
  const further: [string, unknown][] = []
  for (const [field, value] of values) {
    if (EXTRA_FIELD_IDS.has(field.id) && isObject(value)) further.push(...Object.entries(value))
    else named.push([field.field_name, value])
  }
  return Object.fromEntries([...further, ...named])
}
