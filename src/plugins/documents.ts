import swaggerUi from '@fastify/swagger-ui'
import fp from 'fastify-plugin'
import { openapiYaml } from './contract.ts'
import { open } from './guards.ts'

/** The document in both forms, and Swagger UI over it. */
export const documents = fp(
  async (app) => {
    let yaml: string | undefined
    app.get('/openapi.json', { schema: { hide: true }, preHandler: open }, async () => app.swagger())
    app.get('/openapi.yaml', { schema: { hide: true }, preHandler: open }, async (_request, reply) => {
      yaml ??= openapiYaml(app)
      return reply.type('application/yaml; charset=utf-8').send(yaml)
    })
    await app.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: true,
      uiConfig: {
        persistAuthorization: false,
        displayRequestDuration: true,
        tryItOutEnabled: true,
        validatorUrl: null
      }
    })
  },
  { name: 'documents', fastify: '5.x', dependencies: ['contract'] }
)
