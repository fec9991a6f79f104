import type { FieldConstraints, FieldType } from '../../db/tables.ts'
import { type InputError, type InputErrorCode, ValidationFailed } from '../../http/problems.ts'
import { parseLossless } from '../../json.ts'
import { hasNoValue, takesPattern, validateValue } from './field-values.ts'
import { MAX_INSTRUCTIONS, PatternSearch, sizeOfPattern } from './patterns.ts'
import type { FieldRow } from './repository.ts'

/** Maximum size of the fields of a type as JSON. Bounds the size of a page of types. */
const MAX_BYTES = 16 * 1024

/** Throws ValidationFailed if the fields are invalid. They must be in the order of the body's list. */
export function assertValidFields(fields: readonly FieldRow[]): void {
  const search = new PatternSearch()
  const errors = [...validateNames(fields), ...validatePatterns(fields)]
  for (const field of fields) {
    errors.push(...validateOptions(field), ...validateConstraints(field))
    // A default can only be checked against a field that is valid itself.
    if (errors.length === 0) errors.push(...validateDefault(field, search))
  }
  if (errors.length === 0 && sizeOf(fields) > MAX_BYTES) {
    errors.push({
      path: '/body/fields',
      code: 'too-large',
      message: 'The fields, as JSON, have 16 KiB at the most.'
    })
  }
  if (errors.length > 0) throw new ValidationFailed({ errors })
}

/** The size of the fields in an answer, which leaves out what is null. */
function sizeOf(fields: readonly FieldRow[]): number {
  return Buffer.byteLength(JSON.stringify(fields, (_key, value) => value ?? undefined))
}

function errorAt(field: FieldRow, property: string, code: InputErrorCode, message: string): InputError {
  return { path: `/body/fields/${field.position}/${property}`, code, message }
}

function validateNames(fields: readonly FieldRow[]): InputError[] {
  const seen = new Set<string>()
  return fields.flatMap((field) => {
    const repeated = seen.has(field.field_name)
    seen.add(field.field_name)
    return repeated
      ? [errorAt(field, 'fieldName', 'repeated', 'Another field of the type has this name.')]
      : []
  })
}

function validateOptions(field: FieldRow): InputError[] {
  const isSelect = field.field_type === 'select'
  if (isSelect && field.options === null)
    return [errorAt(field, 'options', 'required', 'A select needs its options.')]
  if (isSelect || field.options === null) return []
  return [errorAt(field, 'options', 'not-for-this-type', 'Only a select has options.')]
}

/** Returns the first error: a pattern that exceeds the total size must be the last one that is compiled. */
function validatePatterns(fields: readonly FieldRow[]): InputError[] {
  let remaining = MAX_INSTRUCTIONS
  for (const field of fields) {
    if (field.pattern === null) continue
    const error = (code: InputErrorCode, message: string) => [errorAt(field, 'pattern', code, message)]
    if (!takesPattern(field.field_type))
      return error('not-for-this-type', 'A field of this type takes no pattern.')
    const size = sizeOfPattern(field.pattern)
    if (size === undefined) return error('invalid-pattern', 'This is not in RE2 syntax.')
    remaining -= size
    if (remaining < 0) return error('invalid-pattern', 'The patterns of the type are too large together.')
  }
  return []
}

const CONSTRAINTS: Partial<Record<FieldType, readonly (keyof FieldConstraints)[]>> = {
  number: ['minimum', 'maximum', 'integer'],
  url: ['schemes'],
  json: ['shape']
}

function validateConstraints(field: FieldRow): InputError[] {
  const { constraints } = field
  if (constraints === null) return []
  const error = (code: InputErrorCode, message: string) => [errorAt(field, 'constraints', code, message)]
  const allowed = CONSTRAINTS[field.field_type] ?? []
  if (Object.keys(constraints).some((name) => !allowed.includes(name as keyof FieldConstraints)))
    return error('not-for-this-type', `A field of this type takes ${allowed.join(', ') || 'no constraints'}.`)
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = constraints
  return minimum > maximum ? error('out-of-range', 'The minimum is greater than the maximum.') : []
}

function validateDefault(field: FieldRow, search: PatternSearch): InputError[] {
  if (field.default_value === null) return []
  const error = (code: InputErrorCode, message: string) => [errorAt(field, 'defaultValue', code, message)]
  if (field.secret)
    return error('not-for-secret', 'Everybody sees the types, so a secret field has no default.')
  const value = parseLossless(field.default_value)
  if (hasNoValue(value, field)) return error('required', 'This is no value of the field.')
  const invalid = validateValue(field, value, search)
  return invalid ? error(invalid.code, invalid.message) : []
}
