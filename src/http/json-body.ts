import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { MalformedBody, UnsupportedMediaType, ValidationFailed } from './problems.ts'

const DEEPEST = 32

/**
 * The one kind of body there is: JSON in UTF-8, as RFC 8259 and I-JSON (RFC 7493) have it. Refuses what
 * `JSON.parse` lets through and programs then read differently: other encodings, a key twice in one object, numbers
 * that are no numbers, half surrogate pairs, NUL, `__proto__`, and nesting without end.
 */
export const jsonBody = fp(
  async (app: FastifyInstance) => {
    const parseJson = app.getDefaultJsonParser('error', 'error')
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, bytes: Buffer, done) => {
      if (!isPlainUtf8(request.headers)) return done(new UnsupportedMediaType())
      // Many clients name the type of a body that they do not send; the schema says whether one is needed.
      if (bytes.length === 0) return done(null, undefined)
      if (!isUtf8(bytes)) return done(new MalformedBody())
      const text = bytes.toString('utf8')
      if (nesting(text) > DEEPEST) {
        const detail = `The body is nested deeper than ${DEEPEST} levels.`
        return done(
          new ValidationFailed({ detail, errors: [{ path: '/body', code: 'too-deep', message: detail }] })
        )
      }
      void parseJson(request, text, (error: Error | null, value?: unknown) => {
        if (error) return done(new MalformedBody())
        if (hasRepeatedKey(text)) {
          return done(new MalformedBody({ detail: 'An object in the body has one key twice.' }))
        }
        return done(null, value)
      })
    })
  },
  { name: 'json-body', fastify: '5.x' }
)

function isPlainUtf8(headers: IncomingHttpHeaders): boolean {
  const charset = /;\s*charset=("?)([^";\s]+)\1/i.exec(headers['content-type'] ?? '')?.[2]
  const encoding = headers['content-encoding'] ?? 'identity'
  return encoding === 'identity' && /^utf-?8$/i.test(charset ?? 'utf-8')
}

/** The end of the string that begins at `start`: the index of its closing quote. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  for (;;) {
    if (end < 0) return text.length
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++
    if (slashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
}

function nesting(text: string): number {
  let depth = 0
  let deepest = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) i = endOfString(text, i)
    else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth)
    else if (code === 0x7d || code === 0x5d) depth--
  }
  return deepest
}

/** Whether any object of this well-formed text has one key twice, `"a"` and `"\u0061"` being one key. */
function hasRepeatedKey(text: string): boolean {
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
