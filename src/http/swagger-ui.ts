import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { FixedContent, serveFixed } from './fixed-content.ts'

/** Allows Swagger UI its own files, requests to this service, and the data: icons of its stylesheet. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join(';')

const OPTIONS = {
  url: '/docs/openapi.json',
  dom_id: '#swagger-ui',
  // Omits the top bar, which can load documents from other hosts.
  layout: 'BaseLayout',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null
}

const START = `// The curl command of a request would keep the password on the screen.
const hidePasswords = () => ({
  wrapComponents: {
    curl: (Curl, { React }) => (props) =>
      /password"\\s*:/i.test(props.request.get('body')) ? null : React.createElement(Curl, props)
  }
})

SwaggerUIBundle({
  ...${JSON.stringify(OPTIONS)},
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [SwaggerUIBundle.plugins.DownloadUrl, hidePasswords],
  // With a token, the request is the token's alone: the cookie of a session would be another caller.
  requestInterceptor: (request) =>
    request.headers?.Authorization ? { ...request, credentials: 'omit' } : request
})
`

// Swagger UI's column of links is always empty here. Without these rules, a phone scrolls sideways.
const STYLE = `
body { margin: 0; background: #fafafa; }
.swagger-ui .response-col_links { display: none; }
@media (max-width: 640px) {
  .swagger-ui .info { margin: 20px 0; }
  .swagger-ui .scheme-container { margin: 0; padding: 10px 0; }
  .swagger-ui .opblock .opblock-section-header { flex-wrap: wrap; gap: 8px; padding: 8px; }
  .swagger-ui .opblock .tab-header .tab-item.active h4 span::after { bottom: -4px; height: 2px; }
  .swagger-ui .opblock .try-out { display: flex; margin: 0; }
  .swagger-ui .opblock .try-out__btn { margin-left: 0; }
  .swagger-ui table tbody tr td.parameters-col_name { padding-right: 8px; }
  .swagger-ui .parameters-col_description input { max-width: 100%; }
}
`

const FIRST_STEPS = `Stores encrypted credentials, and returns their values to the programs of a project. To \
try it, run the examples of \`POST /api/v1/session\` (with the password that the first start printed), \
\`POST /api/v1/projects\`, \`POST /api/v1/app-credentials\` and \`POST /api/v1/access-tokens\`. Then press \
**Authorize**, paste the token, and run \`POST /api/v1/projects/{id}/resolve\` with the id of the project.`

interface Document {
  info: object
  externalDocs?: object
  servers?: object[]
  tags?: { name: string }[]
  paths: Record<string, Record<string, Operation>>
  components?: {
    parameters?: Record<string, Parameter>
    responses?: Record<string, Response>
    securitySchemes?: Record<string, SecurityScheme>
  }
}
interface Operation {
  tags: string[]
  parameters?: Parameter[]
  responses: Record<string, Response | { $ref: string }>
  security: Record<string, string[]>[]
}
interface Response {
  description: string
}
interface Parameter {
  required?: boolean
  example?: unknown
}
interface SecurityScheme {
  in?: string
}

/** Serves Swagger UI at /docs. */
export function serveSwaggerUi(app: FastifyInstance): void {
  const script = 'application/javascript; charset=utf-8'
  const file = (name: string) =>
    readFile(fileURLToPath(import.meta.resolve(`@fastify/swagger-ui/static/${name}`)), 'utf8')
  const assets = {
    '/docs/swagger-ui.css': new FixedContent(
      'text/css; charset=utf-8',
      async () => (await file('swagger-ui.css')) + STYLE
    ),
    '/docs/swagger-ui.js': new FixedContent(script, () => file('swagger-ui-bundle.js')),
    '/docs/start.js': new FixedContent(script, () => START)
  }
  for (const [url, content] of Object.entries(assets)) serveFixed(app, url, content)
  const page = new FixedContent('text/html; charset=utf-8', async () => {
    const [style, bundle, start] = await Promise.all(
      Object.entries(assets).map(async ([url, content]) => `${url}?v=${(await content.made()).hash}`)
    )
    return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Latchkey</title>
<link rel="icon" href="/favicon.ico" type="image/svg+xml">
<link rel="stylesheet" href="${style}">
<div id="swagger-ui"></div>
<script src="${bundle}"></script>
<script src="${start}"></script>
</html>
`
  })
  for (const url of ['/docs', '/docs/']) serveFixed(app, url, page, { 'content-security-policy': POLICY })
  const document = new FixedContent('application/json; charset=utf-8', () =>
    JSON.stringify(forSwaggerUi(app.swagger()))
  )
  serveFixed(app, '/docs/openapi.json', document)
}

/**
 * Returns the document with first steps as its description, and without what Swagger UI shows badly.
 * Chapters and the choice of the one server would push the operations off the first screen. Examples of
 * optional parameters would be prefilled and sent. "Authorize" would show a field for the session cookie,
 * which scripts cannot set. Errors would each have an example, and make an operation several screens long.
 */
function forSwaggerUi(document: object): Document {
  const { paths, components = {}, servers: _, tags = [], ...rest } = structuredClone(document) as Document
  const operations = Object.values(paths).flatMap((methods) => Object.values(methods))
  const parameters = operations.flatMap((operation) => operation.parameters ?? [])
  for (const parameter of [...parameters, ...Object.values(components.parameters ?? {})])
    if (!parameter.required) delete parameter.example
  for (const { responses } of operations)
    for (const [status, response] of Object.entries(responses)) {
      const whole = '$ref' in response ? components.responses?.[nameOf(response.$ref)] : response
      if (Number(status) >= 400 && whole) responses[status] = { description: whole.description }
    }
  const schemes = components.securitySchemes ?? {}
  const isCookie = (name: string) => schemes[name]?.in === 'cookie'
  for (const operation of operations)
    operation.security = operation.security.filter((way) => !Object.keys(way).some(isCookie))
  const shown = Object.entries(schemes).filter(([name]) => !isCookie(name))
  const used = new Set(operations.flatMap((operation) => operation.tags))
  return {
    ...rest,
    info: { ...rest.info, description: FIRST_STEPS },
    externalDocs: {
      url: '/reference',
      description: 'API reference: how authentication, errors, retries and lists work'
    },
    tags: tags.filter(({ name }) => used.has(name)),
    paths,
    components: { ...components, securitySchemes: Object.fromEntries(shown) }
  }
}

const nameOf = (ref: string) => ref.slice(ref.lastIndexOf('/') + 1)
