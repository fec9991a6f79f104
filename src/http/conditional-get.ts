import { Type } from '@sinclair/typebox'
import fp from 'fastify-plugin'

const IfNoneMatch = Type.Object({
  'if-none-match': Type.Optional(
    Type.String({
      // As long as all headers together may be.
      maxLength: 16_384,
      description: 'The `ETag` of an earlier answer, or several, or `*`: 304 if one is the current revision',
      examples: ['"3"']
    })
  )
})

/** Answers a GET with 304 and no body if the caller has what it answers (RFC 9110, 13.1.2). */
export const conditionalGet = fp(
  async (app) => {
    app.addHook('onRoute', (route) => {
      const response = route.schema?.response as Record<string, { headers?: { ETag?: object } }> | undefined
      const headers = response?.['200']?.headers
      if (route.method !== 'GET' || !headers?.ETag) return
      const notModified = {
        description: 'As the caller has it',
        type: 'null',
        headers: { ETag: headers.ETag }
      }
      route.schema = { ...route.schema, headers: IfNoneMatch, response: { ...response, 304: notModified } }
    })
    app.addHook('onSend', async (request, reply, payload) => {
      const etag = reply.getHeader('etag')
      const condition = request.headers['if-none-match']
      if (condition === undefined || typeof etag !== 'string' || reply.statusCode !== 200) return payload
      if (!/^(GET|HEAD)$/.test(request.method) || !matches(condition, etag)) return payload
      reply.code(304)
      // Of a HEAD, Fastify takes the length and drops the body afterwards.
      if (request.method === 'HEAD') return payload
      reply.removeHeader('content-type')
      return null
    })
  },
  { name: 'conditional-get', fastify: '5.x' }
)

const ENTITY_TAG = /(?:W\/)?("[^"]*")/g

/** Compares weakly: a tag marked as weak is the same as without the mark. */
function matches(condition: string, etag: string): boolean {
  if (condition.trim() === '*') return true
  return [...condition.matchAll(ENTITY_TAG)].some(([, tag]) => tag === etag.replace(/^W\//, ''))
}
