import fp from 'fastify-plugin'
import { BadRequest, type InputError, MalformedUrl, ValidationFailed } from './problems.ts'
import { components } from './schemas.ts'

/**
 * Refuses, wherever it stands in a request, what Postgres cannot hold or JSON cannot say, and what two readers could
 * read differently.
 */
export const cleanInput = fp(
  async (app) => {
    app.addHook('onRequest', (request, reply, done) => {
      if (!hasTwoHosts(request.raw.rawHeaders)) return done()
      reply.header('connection', 'close')
      done(new BadRequest())
    })
    app.addHook('preValidation', (request, _reply, done) => {
      if (!isDecodable(request.url)) return done(new MalformedUrl())
      const schema: RouteSchema = request.routeOptions.schema ?? {}
      // A body that the operation does not take is not looked at, by this or by anything else.
      const error =
        (schema.body ? flaw(request.body, '/body', schema.body) : undefined) ??
        flaw(request.query, '/query', schema.querystring) ??
        flaw(request.params, '/params', schema.params)
      done(error && new ValidationFailed({ errors: [error] }))
    })
  },
  { name: 'clean-input', fastify: '5.x' }
)

// Node drops the second one without a word (RFC 9112, 3.2: 400).
function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts > 1
}

// The query's parser leaves what it cannot decode as it is; the router has looked at the path only.
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
  properties?: Record<string, Shape>
  items?: Shape
}

interface RouteSchema {
  body?: unknown
  querystring?: unknown
  params?: unknown
}

// The path goes as far as the schema does: what was sent as a key that is not in it may have been meant as a value.
function flaw(value: unknown, path: string, schema: unknown): InputError | undefined {
  if (typeof value === 'string') return flawOfText(value, path)
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return { path, code: 'number-out-of-range', message: 'A number here is larger than a double can hold.' }
  }
  if (value === null || typeof value !== 'object') return undefined
  const { properties = {}, items } = shapeOf(schema)
  for (const [key, member] of Object.entries(value)) {
    const known = Array.isArray(value) ? items : Object.hasOwn(properties, key) ? properties[key] : undefined
    const found = flawOfText(key, path) ?? flaw(member, known ? `${path}/${key}` : path, known)
    if (found) return found
  }
  return undefined
}

function shapeOf(schema: unknown): Shape {
  const shape = (schema ?? {}) as Shape
  return shape.$ref ? ((components.get(shape.$ref.replace('#', '')) ?? {}) as Shape) : shape
}

function flawOfText(text: string, path: string): InputError | undefined {
  if (text.includes('\0')) return { path, code: 'nul-character', message: 'A text here has a NUL character.' }
  if (!text.isWellFormed())
    return { path, code: 'lone-surrogate', message: 'A text here has half of a surrogate pair.' }
  return undefined
}
