import type { FastifySchemaValidationError } from 'fastify'
import { type InputErrorCode, isInputErrorCode } from './input-error-codes.ts'
import type { InputError } from './problems.ts'

const PARTS: Record<string, string> = { querystring: 'query' }

/** Translates a validator's error into a pointer, a code and a sentence, without the input. */
export function inputErrorOf(error: FastifySchemaValidationError, context: string | undefined): InputError {
  const base = `/${PARTS[context ?? 'body'] ?? context}${error.instancePath}`
  const params = error.params as Record<string, unknown>
  const inputError = (code: InputErrorCode, message: string, path = base): InputError => ({
    path,
    code,
    message
  })
  switch (error.keyword) {
    case 'required':
      return inputError('required', 'This is required.', `${base}/${params.missingProperty}`)
    case 'additionalProperties':
      return inputError('unknown-property', 'There is a property here that is not known.')
    case 'enum':
      return inputError('not-allowed', `This has to be one of ${list(params.allowedValues)}.`)
    case 'type':
      return inputError('wrong-type', `This has to be of type ${list(params.type)}.`)
    case 'textRule':
      return inputError(codeOf(params.code), String(params.message))
    case 'format':
      return inputError('wrong-format', `This has to be a ${params.format}.`)
    case 'minLength':
      return inputError('too-short', `This takes at least ${count(params.limit, 'character')}.`)
    case 'maxLength':
      return inputError('too-long', `This takes at most ${params.limit} characters.`)
    case 'maxProperties':
      return inputError('too-many', `This takes at most ${params.limit} properties.`)
    case 'minItems':
      return inputError(
        'too-few',
        `This takes at least ${params.limit} ${params.limit === 1 ? 'entry' : 'entries'}.`
      )
    case 'maxItems':
      return inputError('too-many', `This takes at most ${params.limit} entries.`)
    case 'uniqueItems':
      return inputError('repeated', 'An entry is there twice.')
    case 'minimum':
      return inputError('out-of-range', `This has to be at least ${params.limit}.`)
    case 'maximum':
      return inputError('out-of-range', `This has to be at most ${params.limit}.`)
    case 'pattern':
      return inputError('wrong-form', 'This has characters, or an order of them, that it may not have.')
    default:
      return inputError('invalid', 'This is not as the contract says.')
  }
}

const codeOf = (code: unknown) => (typeof code === 'string' && isInputErrorCode(code) ? code : 'invalid')

const count = (limit: unknown, what: string) => `${limit} ${what}${limit === 1 ? '' : 's'}`

const list = (values: unknown) => [values].flat().join(', ')
