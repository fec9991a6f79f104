import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import { open } from './guard.ts'
import { openapiYaml } from './openapi.ts'
import type { Document } from './openapi-components.ts'

/** What Swagger UI needs and no more: its own files, the service's answers, and the icons that its stylesheet holds. */
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
 * The document for Swagger UI, which fills in every parameter that has an example, and sends it: a search that finds
 * nothing, a revision that is not the current one, the same `Idempotency-Key` with each create. So optional ones have none.
 */
function withoutFilledInOptions(document: object): object {
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

/** The document in both forms, and Swagger UI over it. */
export const documents = fp(
  async (app) => {
    let yaml: string | undefined
    let forPeople: object | undefined
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
        forPeople ??= withoutFilledInOptions(app.swagger())
        return forPeople
      },
      transformSpecificationClone: false,
      uiConfig: {
        // Without the bar on top, which would load documents from elsewhere.
        layout: 'BaseLayout',
        defaultModelsExpandDepth: 0,
        persistAuthorization: false,
        displayRequestDuration: true,
        tryItOutEnabled: true,
        validatorUrl: null
      }
    })
  },
  { name: 'documents', fastify: '5.x', dependencies: ['contract'] }
)
