import fp from 'fastify-plugin'
import { isExactNumber, isRawNumber } from '../json.ts'
import { BadRequest, type InputError, MalformedUrl, ValidationFailed } from './problems.ts'
import { components } from './schemas.ts'

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
    app.addHook('preValidation', (request, _reply, done) => {
      const { body } = (request.routeOptions.schema ?? {}) as RouteSchema
      if (!isDecodable(request.url)) return done(new MalformedUrl())
      const errors: InputError[] = []
      if (body) request.body = plainNumbers(request.body, '/body', body, errors)
      done(errors.length > 0 ? new ValidationFailed({ errors }) : undefined)
    })
    // After the schema has decided: what it refuses is not walked.
    app.addHook('preHandler', (request, _reply, done) => {
      const schema: RouteSchema = request.routeOptions.schema ?? {}
      // An operation without a body schema ignores the body.
      const error =
        (schema.body ? findError(request.body, '/body', schema.body) : undefined) ??
        findError(request.query, '/query', schema.querystring) ??
        findError(request.params, '/params', schema.params)
      done(error && new ValidationFailed({ errors: [error] }))
    })
  },
  { name: 'clean-input', fastify: '5.x' }
)

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

// The router decodes the path only, and the query parser leaves alone what it cannot decode.
function isDecodable(url: string): boolean {
  if (!url.includes('%')) return true
  try {
    decodeURIComponent(url)
    return true
  } catch {
    return false
  }
}

interface Shape {
  $ref?: string
  type?: string | string[]
  properties?: Record<string, Shape>
  items?: Shape
}

interface RouteSchema {
  body?: unknown
  querystring?: unknown
  params?: unknown
}

/** The most errors of one kind in an answer. */
const MAX_ERRORS = 10

/**
 * Returns the body with plain numbers wherever the schema declares a number: 1.0 and 1e2 are integers (JSON
 * Schema, 6.1.1). Adds an error for each that a double does not hold. Values of credentials are not declared,
 * and keep their text.
 */
function plainNumbers(value: unknown, path: string, schema: unknown, errors: InputError[]): unknown {
  const { type, properties, items } = resolveSchema(schema)
  if (isRawNumber(value)) {
    if (![type].flat().some((one) => one === 'number' || one === 'integer')) return value
    if (isExactNumber(value.rawJSON)) return Number(value.rawJSON)
    const message = 'This has to be a number that a double holds exactly.'
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

// Paths name only properties of the schema: an unknown key may be a misplaced secret, and is not repeated.
function findError(value: unknown, path: string, schema: unknown): InputError | undefined {
  if (typeof value === 'string') return textError(value, path)
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return { path, code: 'number-out-of-range', message: 'A number here is larger than a double can hold.' }
  }
  if (value === null || typeof value !== 'object' || isRawNumber(value)) return undefined
  const { properties = {}, items } = resolveSchema(schema)
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const error = findError(value[i], items ? `${path}/${i}` : path, items)
      if (error) return error
    }
    return undefined
  }
  for (const key in value) {
    const memberSchema = Object.hasOwn(properties, key) ? properties[key] : undefined
    const member = (value as Record<string, unknown>)[key]
    const error =
      textError(key, path) ?? findError(member, memberSchema ? `${path}/${key}` : path, memberSchema)
    if (error) return error
  }
  return undefined
}

function resolveSchema(schema: unknown): Shape {
  const shape = (schema ?? {}) as Shape
  return shape.$ref ? ((components.get(shape.$ref.replace('#', '')) ?? {}) as Shape) : shape
}

function textError(text: string, path: string): InputError | undefined {
  if (text.includes('\0')) return { path, code: 'nul-character', message: 'A text here has a NUL character.' }
  if (!text.isWellFormed())
    return { path, code: 'lone-surrogate', message: 'A text here has half of a surrogate pair.' }
  return undefined
}
