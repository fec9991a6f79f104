import type { FastifyRequest, FastifySchemaValidationError } from 'fastify'
import { type InputErrorCode, isInputErrorCode } from './input-error-codes.ts'
import { type InputError, MAX_ERRORS } from './problem.ts'

/** The parts of a request: their names in JSON pointers, and in Fastify. */
const PARTS = { path: 'params', query: 'querystring', headers: 'headers', body: 'body' } as const

/**
 * Returns the errors that the schemas of the operation find in all parts of the request. Each value has one:
 * a value of the wrong length is not also reported for its pattern.
 */
export function schemaErrorsOf(request: FastifyRequest): InputError[] {
  const { params, query, headers, body = null } = request
  const values = { path: params, query, headers, body }
  return Object.entries(PARTS).flatMap(([name, part]) => {
    const validate = request.getValidationFunction(part)
    if (!validate || validate(values[name as keyof typeof PARTS])) return []
    return (validate.errors ?? []).map((error) => inputErrorOf(error as SchemaError, `/${name}`))
  })
}

/** Returns the first error for each pointer, at most MAX_ERRORS. */
export function distinctErrors(errors: readonly InputError[]): InputError[] {
  const byPath = new Map<string, InputError>()
  for (const error of errors) {
    if (byPath.size === MAX_ERRORS) break
    if (!byPath.has(error.path)) byPath.set(error.path, error)
  }
  return [...byPath.values()]
}

/** An error of a validator, with the schema that the value does not match. */
interface SchemaError extends FastifySchemaValidationError {
  parentSchema?: { expected?: string; properties?: object }
}

/** Translates a validator's error into a pointer, a code and a sentence, without the input. */
function inputErrorOf({ keyword, instancePath, params, parentSchema = {} }: SchemaError, part: string) {
  const base = part + instancePath
  const { limit } = params
  const inputError = (code: InputErrorCode, message: string, path = base): InputError => ({
    path,
    code,
    message
  })
  switch (keyword) {
    case 'required':
      return inputError('required', 'This is required.', `${base}/${params['missingProperty']}`)
    case 'additionalProperties':
      return inputError('unknown-property', unknownProperty(part, Object.keys(parentSchema.properties ?? {})))
    case 'enum':
      return inputError('not-allowed', `This must be one of: ${list(params['allowedValues'], ', ')}.`)
    case 'type':
      return inputError('wrong-type', `This must be ${typesOf(params['type'])}.`)
    case 'textRule':
      return inputError(codeOf(params['code']), String(params['message']))
    case 'format':
      return inputError('wrong-format', `This must be ${FORMATS[String(params['format'])] ?? 'valid'}.`)
    case 'minLength':
      return inputError('too-short', `This must be at least ${count(limit, 'character')} long.`)
    case 'maxLength':
      return inputError('too-long', `This must be at most ${count(limit, 'character')} long.`)
    case 'minItems':
      return inputError('too-few', `This must have at least ${count(limit, 'item')}.`)
    case 'maxItems':
      return inputError('too-many', `This must have at most ${count(limit, 'item')}.`)
    case 'minProperties':
      return inputError('too-few', `This must have at least ${count(limit, 'member')}.`)
    case 'maxProperties':
      return inputError('too-many', `This must have at most ${count(limit, 'member')}.`)
    case 'uniqueItems':
      return inputError('repeated', 'The items must be unique.')
    case 'minimum':
      return inputError('out-of-range', `This must be at least ${limit}.`)
    case 'maximum':
      return inputError('out-of-range', `This must be at most ${limit}.`)
    case 'pattern':
      return inputError('wrong-form', `This must ${expectation(parentSchema.expected, params['pattern'])}.`)
    default:
      return inputError('invalid', 'This is invalid.')
  }
}

function unknownProperty(part: string, known: readonly string[]): string {
  const [what, whats] = part === '/query' ? ['parameter', 'parameters'] : ['property', 'properties']
  return known.length === 0
    ? `No ${whats} are allowed here.`
    : `Unknown ${what}. The known ${whats} are: ${known.join(', ')}.`
}

const FORMATS: Record<string, string> = {
  uuid: 'a UUID',
  'date-time': 'a time (RFC 3339), such as 2026-11-21T10:15:30Z',
  email: 'an e-mail address, such as name@example.org'
}

const TYPES: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  null: 'null'
}

const typesOf = (types: unknown) =>
  list(
    [types].flat().map((type) => TYPES[String(type)] ?? type),
    ' or '
  )

const expectation = (expected: string | undefined, pattern: unknown) =>
  expected ? `be ${expected}` : `match ${pattern}`

const codeOf = (code: unknown) => (typeof code === 'string' && isInputErrorCode(code) ? code : 'invalid')

const count = (limit: unknown, what: string) => `${limit} ${what}${limit === 1 ? '' : 's'}`

const list = (values: unknown, separator: string) => [values].flat().map(String).join(separator)
