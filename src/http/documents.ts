import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import { open } from './guard.ts'
import { openapiYaml } from './openapi.ts'
import type { Document } from './openapi-components.ts'

/** Allows Swagger UI its own files, requests to this service, and the data: icons of its stylesheet. */
const SWAGGER_UI_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join(';')

/**
 * The document without examples of optional parameters. Swagger UI prefills and sends them: a search that
 * finds nothing, an outdated revision, the same `Idempotency-Key` with each create.
 */
function withoutOptionalExamples(document: object): object {
  const { paths, components, ...rest } = structuredClone(document) as Document
  const operations = Object.values(paths).flatMap((methods) => Object.values(methods))
  const parameters = [
    ...operations.flatMap((operation) => operation.parameters ?? []),
    ...Object.values(components.parameters ?? {})
  ]
  for (const parameter of parameters as { required?: boolean; example?: unknown }[])
    if (!parameter.required) delete parameter.example
  return { ...rest, paths, components }
}

/** Serves the OpenAPI document as JSON and YAML, and Swagger UI at /docs. */
export const documents = fp(
  async (app) => {
    let yaml: string | undefined
    let forSwaggerUi: object | undefined
    app.get('/openapi.json', { schema: { hide: true }, preHandler: open }, async () => app.swagger())
    app.get('/openapi.yaml', { schema: { hide: true }, preHandler: open }, async (_request, reply) => {
      yaml ??= openapiYaml(app)
      return reply.type('application/yaml; charset=utf-8').send(yaml)
    })
    await app.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: SWAGGER_UI_POLICY,
      theme: { title: 'Latchkey' },
      transformSpecification: () => {
        forSwaggerUi ??= withoutOptionalExamples(app.swagger())
        return forSwaggerUi
      },
      transformSpecificationClone: false,
      uiConfig: {
        // Omits the top bar, which can load documents from other hosts.
        layout: 'BaseLayout',
        defaultModelsExpandDepth: 0,
        persistAuthorization: false,
        displayRequestDuration: true,
        tryItOutEnabled: true,
        validatorUrl: null
      }
    })
  },
  { name: 'documents', fastify: '5.x', dependencies: ['openapi'] }
)
