import type { FieldType } from '../../db/tables.ts'
import { MAX_SEARCHED, PatternSearch } from './patterns.ts'
import type { FieldRow } from './repository.ts'

/** An error in a value. Never contains the value. */
export interface ValueError {
  code: string
  message: string
}

const MAX_BYTES = 65_536
const EMAIL = /^[^\s\p{Cc}@]+@[^\s\p{Cc}@]+$/u
const NO_URL_CHARACTER = /[\s\p{Cc}]/u

/** True for types whose values are strings that a pattern can restrict. */
export function takesPattern(type: FieldType): boolean {
  return type === 'text' || type === 'password' || type === 'multiline' || type === 'url' || type === 'email'
}

/** True if the value is absent. An empty string is, except in `json`, where `""` is a value. */
export function hasNoValue(value: unknown, type?: FieldType): boolean {
  return value === undefined || value === null || (value === '' && type !== 'json')
}

/** Returns undefined if the value is valid for the field. All values of a request share one `search`. */
export function validateValue(
  field: Pick<FieldRow, 'field_type' | 'options' | 'pattern'>,
  value: unknown,
  search = new PatternSearch()
): ValueError | undefined {
  return validateType(field, value) ?? validateSize(value) ?? validatePattern(field, value, search)
}

function validateType(
  { field_type, options }: Pick<FieldRow, 'field_type' | 'options'>,
  value: unknown
): ValueError | undefined {
  switch (field_type) {
    case 'number':
      return check(Number.isFinite(value), 'wrong-type', 'This has to be a number.')
    case 'boolean':
      return check(typeof value === 'boolean', 'wrong-type', 'This has to be true or false.')
    case 'json':
      return check(
        value !== null && value !== undefined,
        'wrong-type',
        'This has to be a JSON value other than null.'
      )
  }
  if (typeof value !== 'string') return { code: 'wrong-type', message: 'This has to be of type string.' }
  switch (field_type) {
    case 'url':
      return check(
        URL.canParse(value) && !NO_URL_CHARACTER.test(value),
        'wrong-format',
        'This has to be an absolute URL, with no spaces in it.'
      )
    case 'email':
      return check(
        value.length <= 320 && EMAIL.test(value),
        'wrong-format',
        'This has to be an e-mail address.'
      )
    case 'select':
      return check(
        options?.includes(value) ?? false,
        'not-allowed',
        "This has to be one of the field's options."
      )
  }
  return undefined
}

function validateSize(value: unknown): ValueError | undefined {
  const size = Buffer.byteLength(JSON.stringify(value))
  return check(size <= MAX_BYTES, 'too-large', 'A value, as JSON, has 64 KiB at the most.')
}

function validatePattern(
  { field_type, pattern }: Pick<FieldRow, 'field_type' | 'pattern'>,
  value: unknown,
  search: PatternSearch
): ValueError | undefined {
  if (pattern === null || typeof value !== 'string' || !takesPattern(field_type)) return undefined
  if (value.length > MAX_SEARCHED) {
    const message = `A value of a field with a pattern has ${MAX_SEARCHED} characters at the most.`
    return { code: 'too-large', message }
  }
  const found = search.find(pattern, value)
  if (found === undefined)
    return { code: 'too-large', message: 'The values are too long for the size of their patterns.' }
  return check(found, 'wrong-form', "This does not match the field's pattern.")
}

function check(valid: boolean, code: string, message: string): ValueError | undefined {
  return valid ? undefined : { code, message }
}
