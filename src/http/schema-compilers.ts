import AjvCompiler from '@fastify/ajv-compiler'
import SerializerSelector from '@fastify/fast-json-stringify-compiler'
import type { FuncKeywordDefinition } from 'ajv'
import type { DataValidateFunction, DataValidationCxt } from 'ajv/dist/types/index.js'
import { cleanPassword } from '../crypto/passwords.ts'
import { cleanEmail } from '../emails.ts'
import { withJsonTexts } from '../json.ts'
import { type Cleaned, cleanLookupName, cleanName } from '../names.ts'

import { withAllErrors } from './all-errors.ts'

type Schemas = Record<string, object>

const validators = AjvCompiler()
const serializers = SerializerSelector()

/** The text if it matches. */
function textOr(pattern: RegExp, text: string): Cleaned {
  const message = 'This must contain a visible character and no control characters.'
  return text === '' || pattern.test(text) ? { text } : { code: 'wrong-form', message }
}

const TEXT_RULES: Record<string, (text: string) => Cleaned> = {
  name: cleanName,
  email: cleanEmail,
  lookup: cleanLookupName,
  label: (text) => textOr(/^\P{Cc}*[^\p{Cc} \u00a0]\P{Cc}*$/u, text),
  consumer: (text) => textOr(/^[^\p{Cc} \u00a0]+$/u, text),
  password: cleanPassword
}

/**
 * The keyword `textRule`: converts the text to its stored form, or rejects it with the rule's code and
 * message. Later keywords and handlers see the stored form. The document omits the keyword.
 */
const textRule: FuncKeywordDefinition = {
  keyword: 'textRule',
  type: 'string',
  schemaType: 'string',
  before: 'maxLength',
  modifying: true,
  errors: true,
  compile: (rule: string) => {
    const validate: DataValidateFunction = (text: string, place?: DataValidationCxt) => {
      const cleaned = TEXT_RULES[rule]!(text)
      if ('text' in cleaned) {
        place!.parentData[place!.parentDataProperty] = cleaned.text
        return true
      }
      validate.errors = [{ keyword: 'textRule', params: cleaned }]
      return false
    }
    return validate
  }
}

// `strictNumbers` would let 1e400 in a query string, which becomes Infinity, pass `maximum`.
const AJV_OPTIONS = {
  strictNumbers: false,
  removeAdditional: false,
  allErrors: false,
  useDefaults: true,
  keywords: [textRule, 'expected', 'undocumented']
}

/**
 * Fastify's schema compilers. Each schema is compiled on its first use, since compiling all of them takes
 * most of a start; `eager` compiles them at the start, so that a test finds a broken one.
 */
export function schemaCompilers({ eager }: { eager: boolean }) {
  const onFirstUse: typeof lazy = eager ? (compile) => compile() : lazy

  /**
   * Validates bodies strictly; coerces query strings, path parameters and headers, which are text on the
   * wire.
   */
  const buildValidator: AjvCompiler.BuildCompilerFromPool = (schemas) => {
    const compilers = new Map<string, ReturnType<AjvCompiler.BuildCompilerFromPool>>()
    const compilerOf = (part: string | undefined, options: object) => {
      const key = JSON.stringify([part, options])
      const coerceTypes = part !== 'body'
      // A malformed id in a path gets the 404 of an unknown one.
      const validateFormats = part !== 'params'
      const customOptions = { ...AJV_OPTIONS, coerceTypes, validateFormats, ...options }
      const compiler = compilers.get(key) ?? validators(schemas, { customOptions })
      compilers.set(key, compiler)
      return compiler
    }
    return (route) => {
      // The argument is a route definition, whatever its type says.
      const { httpPart, schema } = route as { httpPart?: string; schema?: unknown }
      const validate = onFirstUse(() => compilerOf(httpPart, {})(route))
      const findAll = onFirstUse(() => compilerOf(httpPart, { allErrors: true, verbose: true })(route))
      return withAllErrors(validate, findAll, schema)
    }
  }

  /**
   * Gives each serializer only the shared schemas that it refers to: compiling all of them every time is
   * slow.
   */
  const buildSerializer: SerializerSelector.SerializerFactory = (schemas, options) => (route) =>
    withJsonTexts(
      onFirstUse(() => serializers(referencedBy(route.schema as object, schemas as Schemas), options)(route))
    )

  return { buildValidator, buildSerializer }
}

/**
 * Creates the function on its first call. Forwards the `errors` property, which validators set on themselves.
 */
function lazy<F extends (...args: never[]) => unknown>(create: () => F): F {
  let created: F | undefined
  const call = function (this: unknown, ...args: Parameters<F>) {
    created ??= create()
    return created.apply(this, args)
  }
  Object.defineProperty(call, 'errors', {
    get: () => (created as { errors?: unknown } | undefined)?.errors
  })
  return call as unknown as F
}

function referencedBy(schema: object, all: Schemas, found: Schemas = {}): Schemas {
  for (const [, id] of JSON.stringify(schema).matchAll(/"\$ref":"([^"#]+)#?"/g)) {
    const component = all[id!]
    if (!component || found[id!]) continue
    found[id!] = component
    referencedBy(component, all, found)
  }
  return found
}
