import fp from 'fastify-plugin'
import { BadRequest, type InputError, MalformedUrl, ValidationFailed } from '../errors.ts'

/**
 * Refuses, wherever it stands in a request, what Postgres cannot hold or JSON cannot say, and what two readers could
 * read differently.
 */
export const cleanInput = fp(
  async (app) => {
    app.addHook('onRequest', async (request, reply) => {
      // Node drops the second one without a word (RFC 9112, 3.2: 400).
      const { rawHeaders } = request.raw
      if (rawHeaders.filter((name, i) => i % 2 === 0 && /^host$/i.test(name)).length > 1) {
        reply.header('connection', 'close')
        throw new BadRequest()
      }
    })
    app.addHook('preValidation', async (request) => {
      if (!isDecodable(request.url)) throw new MalformedUrl()
      const error =
        flaw(request.body, '/body') ?? flaw(request.query, '/query') ?? flaw(request.params, '/params')
      if (error) throw new ValidationFailed({ errors: [error] })
    })
  },
  { name: 'clean-input', fastify: '5.x' }
)

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

// A key is not named in the path: what was sent as a key may have been meant as a value.
function flaw(value: unknown, path: string): InputError | undefined {
  if (typeof value === 'string') return flawOfText(value, path)
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return { path, code: 'number-out-of-range', message: 'A number here is larger than a double can hold.' }
  }
  if (value === null || typeof value !== 'object') return undefined
  for (const [key, member] of Object.entries(value)) {
    const found = Array.isArray(value)
      ? flaw(member, `${path}/${key}`)
      : (flawOfText(key, path) ?? flaw(member, pathOf(path, key)))
    if (found) return found
  }
  return undefined
}

const pathOf = (path: string, key: string) =>
  /^[a-zA-Z][a-zA-Z0-9_]{0,63}$/.test(key) && path.split('/').length < 6 ? `${path}/${key}` : path

function flawOfText(text: string, path: string): InputError | undefined {
  if (text.includes('\0')) return { path, code: 'nul-character', message: 'A text here has a NUL character.' }
  if (!text.isWellFormed())
    return { path, code: 'lone-surrogate', message: 'A text here has half of a surrogate pair.' }
  return undefined
}
