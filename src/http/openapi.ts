import swagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { stringify } from 'yaml'
import packageJson from '../../package.json' with { type: 'json' }
import { open } from './guard.ts'
import { type Document, extractComponents } from './openapi-components.ts'
import { problemResponses } from './problem-schemas.ts'
import * as shared from './schemas.ts'

export interface Security {
  sessionCookie: string
  personalScopes: readonly string[]
  projectScopes: readonly string[]
}

const codeList = (words: readonly string[]) => words.map((word) => `\`${word}\``).join(', ')

function describe({ personalScopes, projectScopes }: Security): string {
  return `A credential store for workflow engines, integration platforms and agents. Values are encrypted. \
Secret ones leave through \`reveal\`,
to their owner, through \`resolve\`, to machines of a project, and through the answer to a create on the \
Lightning surface, to their creator.

## Who is calling
- **People** sign in with \`POST /api/v1/session\` and are known by the cookie that it sets; in Swagger UI, \
"Try it out" there, and every
  other operation works. A change by cookie has to come from this site (403 \`cross-site-request\`).
- **Programs** send \`Authorization: Bearer lk_pat_…\`, a personal access token: it acts as its maker, \
within its scopes,
  any of ${codeList(personalScopes)}.
- **Machines of a project** send \`Authorization: Bearer lk_prj_…\`, a project token: it is of the project \
and of nobody, and outlives
  whoever made it. Its scopes are any of ${codeList(projectScopes)}.

Both kinds of token are made in person by \`POST /api/v1/access-tokens\`, and shown once. An operation \
names the scopes of which any one
lets a token call it; where it names none, no token will do.

## Errors
Errors are \`application/problem+json\` (RFC 9457): a \`status\`, a stable \`code\` for programs, a \
sentence for people, the \`requestId\` that is
in the logs and in \`X-Request-Id\`, and for bad input the \`errors\`, each with a JSON pointer. Nothing \
that was sent is echoed. What the
caller may not know of is 404, the same as what is not there. 429 and 503 say in \`Retry-After\` when to \
try again; \`RateLimit-Limit\`, \`RateLimit-Remaining\` and \`RateLimit-Reset\` say how many requests \
are left for how many seconds. The Lightning surface
answers in the form that its clients know. Before any operation is reached, a request may be refused as one \
that cannot be read: 400, 408,
414, 431.

## Bodies
JSON in UTF-8, at most 1 MiB, taken as they are: a property that is not known, or of another type, is 400. \
Query strings and headers are
turned into what their schema says; a query parameter that is not known is 400. The Lightning surface \
passes over what it does not know.

## Revisions
A credential has a \`revision\`, one more with each change, and its answers have it as \`ETag\`. A change \
with \`If-Match\` happens at that
revision only, and is 412 otherwise.

## Safe retries
A create with an \`Idempotency-Key\`, sent again within 24 hours by the same caller, gives the first answer \
again, with
\`Idempotency-Replayed: true\`; another request under the same key is 422.

## Pages
Lists that grow take \`page\`, from 1, and \`pageSize\`, and answer \`data\`, \`total\`, \`page\` and \
\`pageSize\`. The audit log, which never stops
growing, answers a \`nextCursor\`, to be sent as \`cursor\`.`
}

const TAGS = [
  { name: 'Session', description: 'Signing in and out, and the sessions on other devices' },
  { name: 'Access tokens', description: 'Tokens by which programs act as a person' },
  { name: 'Users', description: 'The people who may sign in' },
  { name: 'Projects', description: 'Projects, their members and roles' },
  { name: 'Credential types', description: 'Which fields a credential has' },
  { name: 'App credentials', description: 'Credentials, their values and their projects' },
  { name: 'Audit', description: 'Who did what, and who was refused' },
  { name: 'Lightning', description: 'The same credentials, as OpenFn Lightning’s API has them' },
  { name: 'Health', description: 'For probes' }
]

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * The error responses of the operation, for the document only. In the schema, Fastify would compile a
     * serializer for each; the error handler uses none.
     */
    problems?: Record<string, object>
  }
}

/** Generates the OpenAPI document from the routes' schemas, and adds what all operations share. */
export const openapi = fp<Security>(
  async (app, security) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Latchkey',
          version: packageJson.version,
          description: describe(security),
          license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } as never
        },
        servers: [{ url: '/', description: 'The service that serves this document' }],
        tags: TAGS,
        components: {
          securitySchemes: {
            sessionCookie: {
              type: 'apiKey',
              in: 'cookie',
              name: security.sessionCookie,
              description:
                'Set by `POST /api/v1/session` and sent by the browser, which lets no page fill it in; ' +
                'over https its name begins with `__Host-`'
            },
            bearerToken: {
              type: 'http',
              scheme: 'bearer',
              description: 'An access token, `lk_pat_…` or `lk_prj_…`, with a scope that the operation names'
            }
          }
        }
      },
      transformObject: (source) => {
        const document = 'openapiObject' in source ? source.openapiObject : source.swaggerObject
        const described = extractComponents(document as Document) as typeof document
        return JSON.parse(JSON.stringify(described, (key, value) => (key === 'textRule' ? undefined : value)))
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
  const errors = [400, 429, ...(isOpen ? [] : [401, 403]), ...(isWrite ? [403, 413, 415] : [])]
  // An operation with scopes of project tokens alone takes no session.
  const takesSession = !scopes || scopes.some((scope) => personalScopes.includes(scope))
  const security = [
    ...(takesSession ? [{ sessionCookie: [] }] : []),
    ...(scopes ?? []).map((scope) => ({ bearerToken: [scope] }))
  ]
  const responses = { ...problemResponses(...errors), ...(schema.response as object) }
  const responsesWhere = (predicate: (status: number) => boolean) =>
    Object.fromEntries(Object.entries(responses).filter(([status]) => predicate(Number(status))))
  route.config = { ...route.config, problems: responsesWhere((status) => status >= 400) }
  route.schema = {
    ...schema,
    querystring: schema.querystring ?? Type.Object({}, { additionalProperties: false }),
    security: isOpen ? [] : security,
    response: responsesWhere((status) => status < 400)
  }
}

/** Renders the document as it is in the file openapi.yaml. The app must be ready. */
export function openapiYaml(app: FastifyInstance): string {
  return stringify(app.swagger(), { aliasDuplicateObjects: false, lineWidth: 0 })
}
