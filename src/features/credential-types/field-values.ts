import type { FieldConstraints, FieldType, JsonShape } from '../../db/tables.ts'
import type { InputErrorCode } from '../../http/problems.ts'
import { isExactNumber, isJsonNumber, isJsonObject, isWholeNumber, type RawNumber } from '../../json.ts'
import { MAX_SEARCHED, PatternSearch } from './patterns.ts'
import type { FieldRow } from './repository.ts'

/** An error in a value. Never contains the value. */
export interface ValueError {
  code: InputErrorCode
  message: string
}

const MAX_BYTES = 65_536
const EMAIL = /^[^\s\p{Cc}@]+@[^\s\p{Cc}@]+$/u
/** A scheme and an authority (RFC 3986, 3). WHATWG's parser also takes `https:host` and `https:\\host`. */
const URL_START = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]+)/i
const NO_URL_CHARACTER = /[\s\p{Cc}\\]/u
const HTTP = ['http', 'https']
/** Longer than any name in the DNS (RFC 1035, 2.3.4). Parsing a long host is slow. */
const MAX_HOST = 300

/** True for types whose values are strings that a pattern can restrict. */
export function takesPattern(type: FieldType): boolean {
  return type === 'text' || type === 'password' || type === 'multiline' || type === 'url' || type === 'email'
}

type Constrained = Pick<FieldRow, 'field_type' | 'secret' | 'options' | 'pattern' | 'constraints'>

/**
 * True if the value is absent. An empty string counts as absent in a required field, and in a number, a
 * boolean or a select. In `json`, `""` is always a value.
 */
export function hasNoValue(value: unknown, field: Pick<FieldRow, 'field_type' | 'required'>): boolean {
  if (value === undefined || value === null) return true
  return value === '' && field.field_type !== 'json' && (field.required || !takesPattern(field.field_type))
}

/**
 * Returns undefined if the value is valid for the field. All values of a request share one `search`. An empty
 * text is valid in any optional text field, whatever its format and pattern.
 */
export function validateValue(
  field: Constrained,
  value: unknown,
  search = new PatternSearch()
): ValueError | undefined {
  if (value === '' && takesPattern(field.field_type)) return undefined
  return validateType(field, value) ?? validateSize(value) ?? validatePattern(field, value, search)
}

function validateType(
  { field_type, secret, options, constraints }: Constrained,
  value: unknown
): ValueError | undefined {
  switch (field_type) {
    case 'number':
      return isJsonNumber(value)
        ? validateNumber(value, constraints ?? {})
        : { code: 'wrong-type', message: 'This must be a number.' }
    case 'boolean':
      return check(typeof value === 'boolean', 'wrong-type', 'This must be true or false.')
    case 'json':
      return validateJson(value, constraints?.shape)
  }
  if (typeof value !== 'string') return { code: 'wrong-type', message: 'This must be a string.' }
  switch (field_type) {
    case 'url':
      return validateUrl(value, constraints?.schemes ?? HTTP, secret)
    case 'email':
      return check(
        value.length <= 320 && EMAIL.test(value),
        'wrong-format',
        'This must be an e-mail address.'
      )
    case 'select':
      return check(
        options?.includes(value) ?? false,
        'not-allowed',
        'This must be one of the options of the field.'
      )
  }
  return undefined
}

function validateNumber(value: number | RawNumber, constraints: FieldConstraints): ValueError | undefined {
  const { integer, minimum, maximum } = constraints
  const text = JSON.stringify(value)
  if (integer && !isWholeNumber(text)) return { code: 'wrong-type', message: 'This must be a whole number.' }
  if (minimum === undefined && maximum === undefined) return undefined
  if (!isExactNumber(text))
    return {
      code: 'number-not-exact',
      message: 'This must be a number that a double-precision number can represent exactly.'
    }
  if (minimum !== undefined && Number(text) < minimum)
    return { code: 'out-of-range', message: `This must be at least ${minimum}.` }
  if (maximum !== undefined && Number(text) > maximum)
    return { code: 'out-of-range', message: `This must be at most ${maximum}.` }
  return undefined
}

function validateUrl(text: string, schemes: readonly string[], secret: boolean): ValueError | undefined {
  const [, scheme = '', authority = ''] = URL_START.exec(text) ?? []
  if (!schemes.includes(scheme.toLowerCase())) {
    const starts = schemes.map((name) => `${name}://`).join(' or ')
    return { code: 'wrong-format', message: `This must be a URL that starts with ${starts} and a host.` }
  }
  if (NO_URL_CHARACTER.test(text))
    return {
      code: 'wrong-format',
      message: 'A URL cannot contain white space, control characters or backslashes.'
    }
  const host = authority.slice(authority.lastIndexOf('@') + 1)
  if (host.length > MAX_HOST || !URL.canParse(text))
    return { code: 'wrong-format', message: 'The host or port of this URL is invalid.' }
  return check(
    secret || !authority.includes('@'),
    'user-information',
    'A URL in a field that is not secret cannot contain a user name or a password.'
  )
}

function validateJson(value: unknown, shape: JsonShape | undefined): ValueError | undefined {
  switch (shape) {
    case 'object':
      return check(isJsonObject(value), 'wrong-type', 'This must be a JSON object.')
    case 'object-or-text':
      return check(
        isJsonObject(value) || (typeof value === 'string' && isTextOfObject(value)),
        'wrong-type',
        'This must be a JSON object, or a string that contains the JSON of one.'
      )
    default:
      return check(value != null, 'wrong-type', 'This must be a JSON value other than null.')
  }
}

function isTextOfObject(text: string): boolean {
  // A longer text is too large.
  if (text.length > MAX_BYTES) return true
  try {
    // Files from Windows can begin with a byte order mark.
    return isJsonObject(JSON.parse(text.replace(/^\ufeff/, '')))
  } catch {
    return false
  }
}

/** The size of a text is that of its characters; the size of any other value is that of its JSON. */
function validateSize(value: unknown): ValueError | undefined {
  const size = Buffer.byteLength(typeof value === 'string' ? value : JSON.stringify(value))
  return check(size <= MAX_BYTES, 'too-large', 'This must be at most 64 KiB in UTF-8.')
}

function validatePattern(
  { field_type, pattern }: Pick<FieldRow, 'field_type' | 'pattern'>,
  value: unknown,
  search: PatternSearch
): ValueError | undefined {
  if (pattern === null || typeof value !== 'string' || !takesPattern(field_type)) return undefined
  if (value.length > MAX_SEARCHED) {
    const message = `With a pattern, this must be at most ${MAX_SEARCHED} characters long.`
    return { code: 'too-large', message }
  }
  const found = search.find(pattern, value)
  if (found === undefined)
    return { code: 'too-large', message: 'The values are too long for the complexity of their patterns.' }
  return check(found, 'wrong-form', 'This does not match the pattern of the field.')
}

function check(valid: boolean, code: InputErrorCode, message: string): ValueError | undefined {
  return valid ? undefined : { code, message }
}
