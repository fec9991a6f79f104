import { type InputError, ValidationFailed } from '../../http/problems.ts'
import { takesPattern, valueFlaw } from './field-values.ts'
import { MAX_INSTRUCTIONS, sizeOfPattern } from './patterns.ts'
import type { FieldRow } from './repository.ts'

/** All fields of a type as JSON: what a page of types costs, whoever made them, stays bounded. */
const MAX_BYTES = 256 * 1024

/** Throws ValidationFailed when the fields, which are those of the body's list in its order, are not as they may be. */
export function refuseFlaws(fields: readonly FieldRow[]): void {
  const errors = [...repeatedNames(fields), ...patternFlaws(fields)]
  for (const field of fields) {
    errors.push(...optionFlaws(field))
    // A default is held against the rest of its field once that is right.
    if (errors.length === 0) errors.push(...defaultFlaws(field))
  }
  if (errors.length === 0 && Buffer.byteLength(JSON.stringify(fields)) > MAX_BYTES) {
    errors.push({
      path: '/body/fields',
      code: 'too-large',
      message: 'The fields, as JSON, have 256 KiB at the most.'
    })
  }
  if (errors.length > 0) throw new ValidationFailed({ errors })
}

function at(field: FieldRow, property: string, code: string, message: string): InputError {
  return { path: `/body/fields/${field.position}/${property}`, code, message }
}

function repeatedNames(fields: readonly FieldRow[]): InputError[] {
  const seen = new Set<string>()
  return fields.flatMap((field) => {
    const repeated = seen.has(field.field_name)
    seen.add(field.field_name)
    return repeated ? [at(field, 'fieldName', 'repeated', 'Another field of the type has this name.')] : []
  })
}

function optionFlaws(field: FieldRow): InputError[] {
  const isSelect = field.field_type === 'select'
  if (isSelect && field.options === null)
    return [at(field, 'options', 'required', 'A select needs its options.')]
  if (isSelect || field.options === null) return []
  return [at(field, 'options', 'not-for-this-type', 'Only a select has options.')]
}

function patternFlaws(fields: readonly FieldRow[]): InputError[] {
  let left = MAX_INSTRUCTIONS
  for (const field of fields) {
    if (field.pattern === null) continue
    if (!takesPattern(field.field_type)) {
      return [at(field, 'pattern', 'not-for-this-type', 'A field of this type takes no pattern.')]
    }
    const size = sizeOfPattern(field.pattern)
    if (size === undefined) return [at(field, 'pattern', 'invalid-pattern', 'This is not in RE2 syntax.')]
    left -= size
    // The first that is too much is the last that is compiled.
    if (left < 0)
      return [at(field, 'pattern', 'invalid-pattern', 'The patterns of the type are too large together.')]
  }
  return []
}

function defaultFlaws(field: FieldRow): InputError[] {
  if (field.default_value === null) return []
  if (field.secret) {
    return [
      at(
        field,
        'defaultValue',
        'not-for-secret',
        'Everybody sees the types, so a secret field has no default.'
      )
    ]
  }
  const flaw = valueFlaw(field, field.default_value)
  return flaw ? [at(field, 'defaultValue', flaw.code, flaw.message)] : []
}
