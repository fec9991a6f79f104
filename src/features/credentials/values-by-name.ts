import type { InputErrorCode } from '../../http/problems.ts'
import { JsonText } from '../../json.ts'
import { EXTRA_FIELD_IDS } from '../credential-types/catalogue.ts'
import type { FieldRow } from '../credential-types/repository.ts'
import { jsonOf, type Values } from './sealing.ts'

/** The maximum number of members of `extra`. Responses contain each of them as a value of its own. */
export const MAX_FURTHER = 256

const extraOf = (fields: readonly FieldRow[]) => fields.find(({ id }) => EXTRA_FIELD_IDS.has(id))

/** Returns the names of the members of `extra`. Throws DecryptionFailed. */
export function namesInExtra(fields: readonly FieldRow[], values: Values): Set<string> {
  const extra = extraOf(fields)
  const stored = extra && values.get(extra.id)
  return new Set(
    stored &&
      jsonOf(stored)
        .members()
        ?.map(([name]) => name)
  )
}

/**
 * Removes duplicates between `extra` and the fields after `changed` was set in `values`: a field that was set
 * or cleared replaces the member with its name. Returns an error if a new value of `extra` is invalid.
 */
export function separateExtra(
  fields: readonly FieldRow[],
  values: Values,
  changed: ReadonlySet<string>
): { code: InputErrorCode; message: string } | undefined {
  const extra = extraOf(fields)
  const stored = extra && values.get(extra.id)
  if (!stored || changed.size === 0) return undefined
  const members = jsonOf(stored).members() ?? []
  const isNew = changed.has(extra.id)
  const names = new Set(
    fields
      .filter((field) => field !== extra && (isNew ? values : changed).has(field.id))
      .map((field) => field.field_name)
  )
  const others = members.filter(([name]) => !names.has(name))
  if (isNew && members.length > MAX_FURTHER)
    return { code: 'too-many', message: `This must have at most ${MAX_FURTHER} members.` }
  if (others.length === members.length) return undefined
  if (isNew)
    return { code: 'repeated', message: 'A member has the name of a field that has a value or a default.' }
  if (others.length > 0) values.set(extra.id, JsonText.ofMembers(others))
  else values.delete(extra.id)
  return undefined
}

/**
 * Returns values by the names of their fields, as `resolve` returns them. The members of `extra` become
 * values of their own; if a member has the name of a field, the value of the field is returned.
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
