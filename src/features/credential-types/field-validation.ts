import type { FieldConstraints, FieldType } from '../../db/tables.ts'
import { distinctErrors } from '../../http/input-error.ts'
import { type InputError, type InputErrorCode, ValidationFailed } from '../../http/problems.ts'
import { parseLossless } from '../../json.ts'
import { hasNoValue, takesPattern, validateValue } from './field-values.ts'
import { MAX_INSTRUCTIONS, PatternSearch, sizeOfPattern } from './patterns.ts'
import type { FieldRow } from './repository.ts'

/** Maximum size of the fields of a type as JSON. Bounds the size of a page of types. */
const MAX_BYTES = 16 * 1024

/**
 * Throws ValidationFailed if there are `earlier` errors, or if the fields are invalid. They must be in the
 * order of the body's list.
 */
export function assertValidFields(fields: readonly FieldRow[], earlier: readonly InputError[] = []): void {
  const search = new PatternSearch()
  const patternErrors = validatePatterns(fields)
  const errors = [...earlier, ...validateNames(fields), ...patternErrors]
  for (const field of fields) {
    const ownErrors = [...validateOptions(field), ...validateConstraints(field)]
    errors.push(...ownErrors)
    // A default can only be checked against a field that is valid itself.
    if (ownErrors.length === 0 && patternErrors.length === 0) errors.push(...validateDefault(field, search))
  }
  if (errors.length === 0 && sizeOf(fields) > MAX_BYTES) {
    errors.push({
      path: '/body/fields',
      code: 'too-large',
      message: 'The fields must be at most 16 KiB as JSON.'
    })
  }
  if (errors.length > 0) throw new ValidationFailed({ errors: distinctErrors(errors) })
}

/** Returns the size of the fields in a response, which omits null. */
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
    return [errorAt(field, 'options', 'required', 'A select needs options.')]
  if (isSelect || field.options === null) return []
  return [errorAt(field, 'options', 'not-for-this-type', 'Only a select can have options.')]
}

/** Stops compiling when the patterns exceed the total size. */
function validatePatterns(fields: readonly FieldRow[]): InputError[] {
  const errors: InputError[] = []
  let remaining = MAX_INSTRUCTIONS
  for (const field of fields) {
    if (field.pattern === null) continue
    const refuse = (code: InputErrorCode, message: string) =>
      errors.push(errorAt(field, 'pattern', code, message))
    if (!takesPattern(field.field_type)) {
      refuse('not-for-this-type', 'A field of this type cannot have a pattern.')
      continue
    }
    const size = sizeOfPattern(field.pattern)
    if (size === undefined) refuse('invalid-pattern', 'This must be a regular expression in RE2 syntax.')
    // Rejecting an invalid pattern can take as long as compiling it.
    remaining -= size ?? field.pattern.length
    if (remaining >= 0) continue
    if (errors.length === 0) refuse('invalid-pattern', 'The patterns of the type are too large together.')
    break
  }
  return errors
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
    return error(
      'not-for-this-type',
      allowed.length === 0
        ? 'A field of this type cannot have constraints.'
        : `The constraints of a field of this type can be: ${allowed.join(', ')}.`
    )
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = constraints
  return minimum > maximum ? error('out-of-range', 'The minimum is greater than the maximum.') : []
}

function validateDefault(field: FieldRow, search: PatternSearch): InputError[] {
  if (field.default_value === null) return []
  const error = (code: InputErrorCode, message: string) => [errorAt(field, 'defaultValue', code, message)]
  if (field.secret)
    return error('not-for-secret', 'A secret field cannot have a default, because all users can see it.')
  const value = parseLossless(field.default_value)
  if (hasNoValue(value, field)) return error('required', 'The default of this field cannot be empty.')
  const invalid = validateValue(field, value, search)
  return invalid ? error(invalid.code, invalid.message) : []
}
