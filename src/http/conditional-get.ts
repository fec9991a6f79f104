import { Type } from '@sinclair/typebox'
import fp from 'fastify-plugin'

const IfNoneMatch = Type.Object({
  'if-none-match': Type.Optional(
    Type.String({
      // The maximum size of all headers together.
      maxLength: 16_384,
      description: 'One or more `ETag` values of earlier responses, or `*`. Returns 304 if one is current',
      examples: ['"3"']
    })
  )
})

/** Responds to a GET with 304 and no body if the caller already has the response (RFC 9110, 13.1.2). */
export const conditionalGet = fp(
  async (app) => {
    app.addHook('onRoute', (route) => {
      const response = route.schema?.response as Record<string, { headers?: { ETag?: object } }> | undefined
      const headers = response?.['200']?.headers
      if (route.method !== 'GET' || !headers?.ETag) return
      const notModified = {
        description: 'Not modified',
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
      // For HEAD, Fastify sends the length of the body without the body, so the body is kept here.
      if (request.method === 'HEAD') return payload
      reply.removeHeader('content-type')
      return null
    })
  },
  { name: 'conditional-get', fastify: '5.x' }
)

const ENTITY_TAG = /(?:W\/)?("[^"]*")/g

/** Uses weak comparison: `W/"3"` matches `"3"`. */
function matches(condition: string, etag: string): boolean {
  if (condition.trim() === '*') return true
  return [...condition.matchAll(ENTITY_TAG)].some(([, tag]) => tag === etag.replace(/^W\//, ''))
}
