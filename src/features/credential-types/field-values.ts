import type { FieldType } from '../../db/tables.ts'
import { isFound, MAX_SEARCHED } from './patterns.ts'
import type { FieldRow } from './repository.ts'

interface Flaw {
  code: string
  message: string
}

const MAX_BYTES = 65_536
const EMAIL = /^[^\s\p{Cc}@]+@[^\s\p{Cc}@]+$/u
const NO_URL_CHARACTER = /[\s\p{Cc}]/u

const flaw = (code: string, message: string): Flaw => ({ code, message })

/** Types whose values are strings that a pattern may be for. */
export function takesPattern(type: FieldType): boolean {
  return type === 'text' || type === 'password' || type === 'multiline' || type === 'url' || type === 'email'
}

/** undefined when the value fits; else a code and sentence without the value. */
export function valueFlaw(
  field: Pick<FieldRow, 'field_type' | 'options' | 'pattern'>,
  value: unknown
): Flaw | undefined {
  return flawOfType(field, value) ?? flawOfSize(value) ?? flawOfPattern(field, value)
}

/** Whether there is nothing, or an empty text where the type's values are texts: in `json`, `""` is a value. */
export function hasNoValue(value: unknown, type?: FieldType): boolean {
  return value === undefined || value === null || (value === '' && type !== 'json')
}

function flawOfType({ field_type, options }: Pick<FieldRow, 'field_type' | 'options'>, value: unknown) {
  switch (field_type) {
    case 'number':
      return Number.isFinite(value) ? undefined : flaw('wrong-type', 'This has to be a number.')
    case 'boolean':
      return typeof value === 'boolean' ? undefined : flaw('wrong-type', 'This has to be true or false.')
    case 'json':
      return value !== null && value !== undefined
        ? undefined
        : flaw('wrong-type', 'This has to be a JSON value other than null.')
  }
  if (typeof value !== 'string') return flaw('wrong-type', 'This has to be of type string.')
  switch (field_type) {
    case 'url':
      return URL.canParse(value) && !NO_URL_CHARACTER.test(value)
        ? undefined
        : flaw('wrong-format', 'This has to be an absolute URL, with no spaces in it.')
    case 'email':
      return value.length <= 320 && EMAIL.test(value)
        ? undefined
        : flaw('wrong-format', 'This has to be an e-mail address.')
    case 'select':
      return options?.includes(value)
        ? undefined
        : flaw('not-allowed', "This has to be one of the field's options.")
  }
  return undefined
}

function flawOfSize(value: unknown) {
  return Buffer.byteLength(JSON.stringify(value)) <= MAX_BYTES
    ? undefined
    : flaw('too-large', 'A value, as JSON, has 64 KiB at the most.')
}

function flawOfPattern({ field_type, pattern }: Pick<FieldRow, 'field_type' | 'pattern'>, value: unknown) {
  if (pattern === null || typeof value !== 'string' || !takesPattern(field_type)) return undefined
  if (value.length > MAX_SEARCHED) {
    return flaw('too-large', `A value of a field with a pattern has ${MAX_SEARCHED} characters at the most.`)
  }
  return isFound(pattern, value) ? undefined : flaw('wrong-form', "This does not match the field's pattern.")
}
