import fp from 'fastify-plugin'
import packageJson from '../../package.json' with { type: 'json' }
import { prefersHtml, varyBy } from './accepted.ts'
import { FixedContent, serveFixed } from './fixed-content.ts'
import { open } from './guard.ts'
import { openapiYaml } from './openapi.ts'
import { serveProblemPages } from './problem-pages.ts'
import { serveReference } from './reference.ts'
import { serveSwaggerUi } from './swagger-ui.ts'

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke="#2f6f4f" stroke-width="4">
<circle cx="10" cy="16" r="6"/><path d="M16 16h14M23 16v7M28 16v5"/></svg>
`

const INDEX = {
  name: 'Latchkey',
  version: packageJson.version,
  links: { documentation: '/docs', reference: '/reference', openapi: '/openapi.json', health: '/readyz' }
}

/**
 * Serves the index at /, the document as JSON and YAML, Swagger UI at /docs, a page for each problem code
 * below it, and the API reference at /reference.
 */
export const documents = fp(
  async (app) => {
    app.get('/', { schema: { hide: true }, preHandler: open }, async (request, reply) => {
      varyBy(reply, 'accept')
      return prefersHtml(request.headers.accept) ? reply.redirect('/docs') : INDEX
    })
    serveFixed(app, '/favicon.ico', new FixedContent('image/svg+xml; charset=utf-8', () => ICON))
    const json = new FixedContent('application/json; charset=utf-8', () => JSON.stringify(app.swagger()))
    serveFixed(app, '/openapi.json', json)
    serveFixed(
      app,
      '/openapi.yaml',
      new FixedContent('application/yaml; charset=utf-8', () => openapiYaml(app))
    )
    serveSwaggerUi(app)
    serveReference(app)
    serveProblemPages(app)
  },
  { name: 'documents', fastify: '5.x', dependencies: ['openapi'] }
)
