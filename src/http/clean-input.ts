import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { isExactNumber, isRawNumber } from '../json.ts'
import { excerpt, resolved } from './all-errors.ts'
import { distinctErrors, schemaErrorsOf } from './input-error.ts'
import { MAX_ERRORS } from './problem.ts'
import { BadRequest, type InputError, MalformedUrl, ValidationFailed } from './problems.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Errors for numbers in the body that a double cannot represent exactly. */
    numberErrors: InputError[] | null
  }
}

/**
 * Refuses requests with two Host or Authorization headers or an undecodable URL, and input with NUL
 * characters, lone surrogates or, in a query, infinite numbers: Postgres cannot store them, or two parsers
 * could read them differently.
 */
export const cleanInput = fp(
  async (app) => {
    app.addHook('onRequest', (request, reply, done) => {
      if (!hasRepeatedHeader(request.raw.rawHeaders)) return done()
      reply.header('connection', 'close')
      done(new BadRequest())
    })
    app.decorateRequest('numberErrors', null)
    app.addHook('preValidation', (request, _reply, done) => {
      const { body } = (request.routeOptions.schema ?? {}) as RouteSchema
      if (!isDecodable(request.url)) return done(new MalformedUrl())
      if (body) {
        const errors: InputError[] = []
        request.body = plainNumbers(request.body, '/body', body, errors)
        request.numberErrors = errors
      }
      done()
    })
    app.addHook('preHandler', (request, _reply, done) => {
      const errors = textErrorsOf(request)
      done(errors.length > 0 ? new ValidationFailed({ errors }) : undefined)
    })
  },
  { name: 'clean-input', fastify: '5.x' }
)

/** Returns the errors in all parts of a request that its schemas reject. */
export function inputErrorsOf(request: FastifyRequest): InputError[] {
  const { numberErrors, routeOptions, query, params } = request
  const { body: schema } = (routeOptions.schema ?? {}) as RouteSchema
  const body = excerpt(request.body, schema)
  const textErrors = textErrorsOf({ routeOptions, body, query, params })
  return distinctErrors([...(numberErrors ?? []), ...schemaErrorsOf(request), ...textErrors])
}

// RFC 9112, 3.2 requires 400 for Host. Node silently drops the second one, and a proxy may take that.
function hasRepeatedHeader(rawHeaders: readonly string[]): boolean {
  let hosts = 0
  let authorizations = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
    else if (name.length === 13 && name.toLowerCase() === 'authorization') authorizations++
  }
  return hosts > 1 || authorizations > 1
}

// The router decodes only the path, and the query parser keeps what it cannot decode.
function isDecodable(url: string): boolean {
  if (!url.includes('%')) return true
  try {
    decodeURIComponent(url)
    return true
  } catch {
    return false
  }
}

interface RouteSchema {
  body?: unknown
  querystring?: unknown
  params?: unknown
}

/**
 * Returns the body with plain numbers wherever the schema declares a number: 1.0 and 1e2 are integers (JSON
 * Schema, 6.1.1). Adds an error for each number that a double cannot represent. Values of credentials are
 * not declared, and keep their text.
 */
function plainNumbers(value: unknown, path: string, schema: unknown, errors: InputError[]): unknown {
  const { type, properties, items } = resolved(schema)
  if (isRawNumber(value)) {
    if (![type].flat().some((one) => one === 'number' || one === 'integer')) return value
    if (isExactNumber(value.rawJSON)) return Number(value.rawJSON)
    const message = 'This must be a number that a double-precision number can represent exactly.'
    if (errors.length < MAX_ERRORS) errors.push({ path, code: 'number-not-exact', message })
    return value
  }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    if (items)
      for (const [index, item] of value.entries())
        value[index] = plainNumbers(item, `${path}/${index}`, items, errors)
    return value
  }
  const members = value as Record<string, unknown>
  for (const [key, member] of Object.entries(properties ?? {})) {
    if (Object.hasOwn(members, key))
      members[key] = plainNumbers(members[key], `${path}/${key}`, member, errors)
  }
  return value
}

type Parts = Pick<FastifyRequest, 'routeOptions' | 'body' | 'query' | 'params'>

function textErrorsOf({ routeOptions, body, query, params }: Parts): InputError[] {
  const schema: RouteSchema = routeOptions.schema ?? {}
  const errors = new Map<string, InputError>()
  // An operation without a body schema ignores the body.
  if (schema.body) findErrors(body, '/body', schema.body, errors)
  findErrors(query, '/query', schema.querystring, errors)
  findErrors(params, '/path', schema.params, errors)
  return [...errors.values()]
}

// Paths name only properties of the schema: an unknown key may be a misplaced secret, and is not repeated.
function findErrors(value: unknown, path: string, schema: unknown, errors: Map<string, InputError>): void {
  if (errors.size >= MAX_ERRORS) return
  const error = errorOf(value, path)
  if (error) errors.set(path, error)
  if (value === null || typeof value !== 'object' || isRawNumber(value)) return
  const { properties = {}, items } = resolved(schema)
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) findErrors(value[i], items ? `${path}/${i}` : path, items, errors)
    return
  }
  for (const key in value) {
    const error = errorOf(key, path)
    if (error) errors.set(path, error)
    const memberSchema = Object.hasOwn(properties, key) ? properties[key] : undefined
    const member = (value as Record<string, unknown>)[key]
    findErrors(member, memberSchema ? `${path}/${key}` : path, memberSchema, errors)
  }
}

function errorOf(value: unknown, path: string): InputError | undefined {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return { path, code: 'number-out-of-range', message: 'A number here is too large for double precision.' }
  }
  if (typeof value !== 'string') return undefined
  if (value.includes('\0'))
    return { path, code: 'nul-character', message: 'A text here contains a NUL character.' }
  if (!value.isWellFormed())
    return { path, code: 'lone-surrogate', message: 'A text here contains half of a surrogate pair.' }
  return undefined
}
