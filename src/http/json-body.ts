import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { scan } from 'secure-json-parse'
import { endOfString, isCanonicalNumber, parseLossless } from '../json.ts'
import { type InputErrorCode, MalformedBody, UnsupportedMediaType, ValidationFailed } from './problems.ts'
import { components } from './schemas.ts'

const MAX_DEPTH = 32
/** The maximum number of members and elements in a body. Bounds the time of every traversal. */
const MAX_VALUES = 40_000
/** The same for a body in which a number is kept as text. Parsing then takes about 1 µs for each value. */
const MAX_VALUES_LOSSLESS = 10_000
/** The media types of bodies. The second is only for PATCH. */
const TYPES = ['application/json', 'application/merge-patch+json']
const MERGE_PATCH = /^application\/merge-patch\+json\b/i
/** A number, and what follows it if it is malformed. */
const NUMBER = /[-+.eE\d]+/y

/**
 * Parses bodies as JSON in UTF-8 (RFC 8259), and keeps numbers as they are written. Rejects input that
 * `JSON.parse` accepts but on which parsers disagree: other encodings, duplicate keys, `__proto__` and deep
 * nesting. Also rejects a body with too many values, before parsing it. The plugin clean-input rejects lone
 * surrogates and NUL.
 */
export const jsonBody = fp(
  async (app: FastifyInstance) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser(TYPES, { parseAs: 'buffer' }, (request, bytes: Buffer, done) => {
      const { method, headers } = request
      if (!isPlainUtf8(headers) || (method !== 'PATCH' && MERGE_PATCH.test(headers['content-type'] ?? '')))
        return done(new UnsupportedMediaType())
      // Many clients send the header without a body; the schema decides whether a body is required.
      if (bytes.length === 0) return done(null, undefined)
      if (!isUtf8(bytes)) return done(new MalformedBody())
      const text = bytes.toString('utf8').replace(/^\ufeff/, '')
      const { depth, values, isExact } = extentOf(text)
      if (depth > MAX_DEPTH)
        return done(refusal('too-deep', `The body is nested deeper than ${MAX_DEPTH} levels.`))
      const most = isExact ? MAX_VALUES : MAX_VALUES_LOSSLESS
      if (values > most) return done(refusal('too-many-values', `The body has more than ${most} values.`))
      let body: unknown
      try {
        body = isExact ? JSON.parse(text) : parseLossless(text)
      } catch {
        return done(new MalformedBody())
      }
      if (hasDuplicateKey(text))
        return done(new MalformedBody({ detail: 'An object in the body has the same key twice.' }))
      if (body === null && isOptional(request.routeOptions.schema?.body))
        return done(refusal('wrong-type', 'This must be an object.'))
      if (hasPrototypeKey(body)) return done(refusal('forbidden-key', FORBIDDEN_KEY))
      return done(null, body)
    })
    // Many clients send a content type without a body: `curl -X DELETE --data ''`.
    app.addContentTypeParser('*', ({ headers }, _payload, done) => {
      const isEmpty = headers['content-length'] === '0' && headers['transfer-encoding'] === undefined
      return isEmpty ? done(null, undefined) : done(new UnsupportedMediaType())
    })
  },
  { name: 'json-body', fastify: '5.x' }
)

function refusal(code: InputErrorCode, detail: string) {
  return new ValidationFailed({ detail, errors: [{ path: '/body', code, message: detail }] })
}

/** Returns true if the schema accepts null, which Fastify validates if there is no body. */
function isOptional(schema: unknown): boolean {
  const { $ref = '' } = (schema ?? {}) as { $ref?: string }
  return [components.get($ref.replace('#', ''))?.type].flat().includes('null')
}

function isPlainUtf8(headers: IncomingHttpHeaders): boolean {
  const charset = /;\s*charset=("?)([^";\s]+)\1/i.exec(headers['content-type'] ?? '')?.[2]
  const encoding = headers['content-encoding'] ?? 'identity'
  return /^(identity)?$/i.test(encoding) && /^utf-?8$/i.test(charset ?? 'utf-8')
}

/** Code in JavaScript that copies such an object may set a prototype. */
const FORBIDDEN_KEY =
  'An object in the body has the key __proto__, or a key constructor whose value has the key prototype.'

function hasPrototypeKey(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false
  return scan(body, { protoAction: 'error', constructorAction: 'error', safe: true }) === null
}

/**
 * Returns the nesting depth of a JSON text, an upper bound for the number of its values, and whether
 * `JSON.parse` keeps its numbers.
 */
function extentOf(text: string): { depth: number; values: number; isExact: boolean } {
  let open = 0
  let depth = 0
  let values = 1
  let isExact = true
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) i = endOfString(text, i)
    else if (code === 0x2c) values++
    else if (code === 0x7b || code === 0x5b) {
      depth = Math.max(depth, ++open)
      values++
    } else if (code === 0x7d || code === 0x5d) open--
    else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
      NUMBER.lastIndex = i
      const [number] = NUMBER.exec(text)!
      isExact &&= isCanonicalNumber(number)
      i += number.length - 1
    }
  }
  return { depth, values, isExact }
}

/** Returns true if an object in this valid JSON has a key twice; `"a"` and `"\u0061"` are the same key. */
function hasDuplicateKey(text: string): boolean {
  const open: (Set<string> | undefined)[] = []
  let expectKey = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) {
      const end = endOfString(text, i)
      const keys = open.at(-1)
      if (expectKey && keys) {
        const key = JSON.parse(text.slice(i, end + 1)) as string
        if (keys.has(key)) return true
        keys.add(key)
        expectKey = false
      }
      i = end
    } else if (code === 0x7b) {
      open.push(new Set())
      expectKey = true
    } else if (code === 0x5b) {
      open.push(undefined)
      expectKey = false
    } else if (code === 0x7d || code === 0x5d) {
      open.pop()
      expectKey = false
    } else if (code === 0x2c) expectKey = open.at(-1) !== undefined
  }
  return false
}
