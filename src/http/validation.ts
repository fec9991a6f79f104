import AjvCompiler from '@fastify/ajv-compiler'
import type { FastifySchemaValidationError } from 'fastify'
import { lazy } from './lazy.ts'
import type { InputError } from './problems.ts'

type Validate = (data: unknown) => boolean

// With `strictNumbers` a query's 1e400, which is turned into Infinity, would pass by `maximum` unseen.
const shared = { strictNumbers: false, removeAdditional: false, allErrors: false, useDefaults: true } as const

// Keeps a compiler for each set of shared schemas, so that making one costs once, however many contexts ask for it.
const compilers = AjvCompiler()

/**
 * Two validators: bodies are taken as they are, with nothing dropped and nothing turned into something else; query
 * strings, path parameters and headers are text on the wire and are turned into what the schema says.
 */
export function buildValidator(
  externalSchemas: unknown,
  options: { customOptions?: object; plugins?: never[] } | undefined
) {
  const compile = (coerceTypes: boolean) =>
    compilers(externalSchemas as never, { ...options, customOptions: { ...shared, coerceTypes } } as never)
  const strict = compile(false)
  const coercing = compile(true)
  // When it is first needed: most of a start would be spent on validators else.
  return (route: { httpPart?: string }) =>
    lazy(() => (route.httpPart === 'body' ? strict : coercing)(route as never) as Validate)
}

const PARTS: Record<string, string> = { querystring: 'query' }

/** What is wrong, from the validator's words: a pointer, a code and a sentence, without what was sent. */
export function inputErrorOf(error: FastifySchemaValidationError, context: string | undefined): InputError {
  const base = `/${PARTS[context ?? 'body'] ?? context}${error.instancePath}`
  const params = error.params as Record<string, unknown>
  const one = (code: string, message: string, path = base): InputError => ({ path, code, message })
  switch (error.keyword) {
    case 'required':
      return one('required', 'This is required.', `${base}/${params.missingProperty}`)
    case 'additionalProperties':
      return one('unknown-property', 'There is a property here that is not known.')
    case 'enum':
      return one('not-allowed', `This has to be one of ${list(params.allowedValues)}.`)
    case 'type':
      return one('wrong-type', `This has to be of type ${list(params.type)}.`)
    case 'format':
      return one('wrong-format', `This has to be a ${params.format}.`)
    case 'minLength':
      return one('too-short', `This takes at least ${params.limit} characters.`)
    case 'maxLength':
      return one('too-long', `This takes at most ${params.limit} characters.`)
    case 'minItems':
      return one('too-few', `This takes at least ${params.limit} entries.`)
    case 'maxItems':
      return one('too-many', `This takes at most ${params.limit} entries.`)
    case 'uniqueItems':
      return one('repeated', 'An entry is there twice.')
    case 'minimum':
    case 'maximum':
      return one('out-of-range', `This has to be ${params.comparison} ${params.limit}.`)
    case 'pattern':
      return one('wrong-form', 'This has characters, or an order of them, that it may not have.')
    default:
      return one('invalid', 'This is not as the contract says.')
  }
}

const list = (values: unknown) => [values].flat().join(', ')
