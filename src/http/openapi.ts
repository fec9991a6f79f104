import swagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { stringify } from 'yaml'
import packageJson from '../../package.json' with { type: 'json' }
import { open } from './guard.ts'
import { type Document, extractComponents } from './openapi-components.ts'
import { DESCRIPTION, type Security, SUMMARY, tagsOf } from './openapi-texts.ts'
import { problemResponses } from './problem-schemas.ts'
import * as problem from './problems.ts'
import * as shared from './schemas.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * The responses with errors or without a body, for the document only: Fastify compiles a serializer for
     * each response in the schema, which the error handler does not use.
     */
    problems?: Record<string, object>
  }
  interface FastifySchema {
    /** The problems of the operation, in addition to those of all operations of its kind. */
    problems?: readonly problem.ProblemClass[]
  }
}

/** The problems of every operation. */
const ALWAYS = [
  problem.BadRequest,
  problem.MalformedUrl,
  problem.ValidationFailed,
  problem.TooManyRequests,
  problem.InternalError,
  problem.Unavailable
]
/** The problems of operations that require a caller. */
const OF_CALLERS = [problem.Unauthenticated, problem.InsufficientScope]
/** The problems of operations that accept a body. */
const OF_CHANGES = [
  problem.CrossSiteRequest,
  problem.MalformedBody,
  problem.BodyTooLarge,
  problem.UnsupportedMediaType
]
/** The problem of a change whose caller loses the permission while it runs. */
const OF_CHANGES_OF_CALLERS = [problem.Forbidden]

/** Keywords that the document leaves out: see schema-compilers.ts. */
const ONLY_FOR_VALIDATORS = new Set(['textRule', 'expected'])

/** Generates the OpenAPI document from the routes' schemas, and adds what all operations share. */
export const openapi = fp<Security>(
  async (app, security) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Latchkey',
          version: packageJson.version,
          description: DESCRIPTION,
          // `summary` is new in OpenAPI 3.1, and missing in these types.
          ...({ summary: SUMMARY } as object),
          license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } as never
        },
        servers: [{ url: '/', description: 'The service that serves this document' }],
        tags: tagsOf(security),
        components: {
          securitySchemes: {
            sessionCookie: {
              type: 'apiKey',
              in: 'cookie',
              name: security.sessionCookie,
              description:
                'Set by `POST /api/v1/session`. Browsers send it; scripts cannot read or set it. Over ' +
                'https its name starts with `__Host-`.'
            },
            bearerToken: {
              type: 'http',
              scheme: 'bearer',
              description:
                'An access token (`lk_pat_…` or `lk_prj_…`) with one of the scopes that the operation lists'
            }
          }
        }
      },
      transformObject: (source) => {
        const document = 'openapiObject' in source ? source.openapiObject : source.swaggerObject
        const described = extractComponents(document as Document) as typeof document
        return JSON.parse(
          JSON.stringify(described, (key, value) => (ONLY_FOR_VALIDATORS.has(key) ? undefined : value))
        )
      },
      refResolver: { buildLocalReference: (json) => String(json.$id) },
      transform: ({ schema, url, route }) => {
        const problems = route.config?.problems
        return {
          url,
          schema: problems ? { ...schema, response: { ...(schema.response as object), ...problems } } : schema
        }
      }
    })
    for (const component of shared.components.values()) app.addSchema(component)
    app.addHook('onRoute', (route) => completeRoute(route, security.personalScopes))
  },
  { name: 'openapi', fastify: '5.x' }
)

/** Adds what all operations of a kind share: a closed query string, security, and error responses. */
function completeRoute(route: RouteOptions, personalScopes: readonly string[]): void {
  const { schema } = route
  if (!schema || schema.hide) return
  if (schema.scopes) route.config = { ...route.config, scopes: schema.scopes }
  if (route.method === 'HEAD') return
  const { operationId, summary, tags, scopes } = schema
  if (!operationId || !summary || !tags)
    throw new Error(`${route.method} ${route.url} needs operationId, summary and tags`)
  const isWrite = route.method !== 'GET'
  const isOpen = [route.preHandler ?? []].flat().includes(open)
  const problems = [
    ...ALWAYS,
    ...(isOpen ? [] : OF_CALLERS),
    ...(isWrite ? OF_CHANGES : []),
    ...(isWrite && !isOpen ? OF_CHANGES_OF_CALLERS : []),
    ...(schema.problems ?? [])
  ]
  // An operation that only project tokens can call accepts no session.
  const takesSession = !scopes || scopes.some((scope) => personalScopes.includes(scope))
  const security = [
    ...(takesSession ? [{ sessionCookie: [] }] : []),
    ...(scopes ?? []).map((scope) => ({ bearerToken: [scope] }))
  ]
  const responses = { ...problemResponses(problems), ...(schema.response as object) }
  const responsesWhere = (predicate: (status: number) => boolean) =>
    Object.fromEntries(Object.entries(responses).filter(([status]) => predicate(Number(status))))
  route.config = { ...route.config, problems: responsesWhere((status) => status >= 300) }
  route.schema = {
    ...schema,
    querystring: schema.querystring ?? Type.Object({}, { additionalProperties: false }),
    security: isOpen ? [] : security,
    response: responsesWhere((status) => status < 300)
  }
}

/** Renders the document as in the file openapi.yaml. The app must be ready. */
export function openapiYaml(app: FastifyInstance): string {
  return stringify(app.swagger(), { aliasDuplicateObjects: false, lineWidth: 0 })
}
