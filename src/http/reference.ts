import type { FastifyInstance } from 'fastify'
import { FixedContent, serveFixed } from './fixed-content.ts'
import { code, type Html, html, markdown } from './html.ts'
import { limitsOf, nameOf, propertiesOf, row, type Schema, typeOf } from './reference-schema.ts'

interface Document {
  info: { title: string; version: string; summary?: string; description: string }
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { [section: string]: Record<string, object> | undefined; schemas: Record<string, Schema> }
}
interface Operation {
  operationId: string
  summary: string
  description?: string
  tags: string[]
  security: Record<string, string[]>[]
  parameters?: (Parameter | Reference)[]
  requestBody?: { required?: boolean; content: Content }
  responses: Record<string, Response | Reference>
}
interface Parameter {
  name: string
  in: string
  description?: string
  required?: boolean
  schema: Schema
}
interface Response {
  description: string
  content?: Content
}
interface Reference {
  $ref: string
}
type Content = Record<string, { schema: Schema; example?: unknown; examples?: Record<string, object> }>

const POLICY =
  "default-src 'none';style-src 'self';img-src 'self';base-uri 'none';form-action 'none';" +
  "frame-ancestors 'none'"

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; display: grid;
  grid-template-columns: 17rem minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; box-sizing: border-box; padding: 1rem;
  border-right: 1px solid var(--line); font-size: 0.875rem; }
nav ul { list-style: none; margin: 0 0 0.75rem; padding: 0; }
nav a { display: block; padding: 0.125rem 0; text-decoration: none; }
main { padding: 1rem 2rem 4rem; max-width: 60rem; }
h1 { margin: 0.5rem 0; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
article { margin: 2rem 0; }
h3 { margin: 0; }
h4 { margin: 1rem 0 0.25rem; }
a { color: light-dark(#1f5f9f, #8cc4ff); }
code, pre { font: 0.875em/1.5 ui-monospace, monospace; background: var(--soft); border-radius: 3px; }
code { padding: 0 0.2em; overflow-wrap: anywhere; }
pre { padding: 0.75rem; overflow: auto; max-height: 30rem; }
pre code { background: none; padding: 0; }
small { opacity: 0.75; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.375rem 0.5rem 0.375rem 0;
  border-top: 1px solid var(--line); }
th { font-weight: normal; width: 14rem; }
td { overflow-wrap: anywhere; }
@media (max-width: 50rem) {
  body { display: block; }
  nav { position: static; height: auto; max-height: 40vh; border: 0; border-bottom: 1px solid var(--line); }
  main { padding: 1rem; }
  th { width: 8rem; }
}
`

/** Serves the API reference, one page without scripts, at /reference. */
export function serveReference(app: FastifyInstance): void {
  const style = new FixedContent('text/css; charset=utf-8', () => STYLE)
  serveFixed(app, '/reference/style.css', style)
  const page = new FixedContent('text/html; charset=utf-8', async () => {
    const { hash } = await style.made()
    return pageOf(readable(app.swagger()), `/reference/style.css?v=${hash}`).text
  })
  serveFixed(app, '/reference', page, { 'content-security-policy': POLICY })
}

const readable = (document: object) => document as Document

function pageOf(document: Document, style: string): Html {
  const { info, components } = document
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation }))
  )
  const chapters = document.tags.map((tag) => ({
    ...tag,
    operations: operations.filter(({ operation }) => operation.tags.includes(tag.name))
  }))
  const schemas = Object.entries(components.schemas)
  return html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${info.title} reference</title>
<link rel="icon" href="/favicon.ico" type="image/svg+xml">
<link rel="stylesheet" href="${style}">
<nav>
${chapters.map(
  ({ name, operations }) => html`<a href="#${idOf(name)}"><b>${name}</b></a>
<ul>${operations.map(
    ({ operation: { operationId, summary } }) => html`<li><a href="#${operationId}">${summary}</a>`
  )}</ul>
`
)}<a href="#schemas"><b>Schemas</b></a>
<ul>${schemas.map(([name]) => html`<li><a href="#${name}">${name}</a>`)}</ul>
</nav>
<main>
<h1>${info.title} ${info.version}</h1>
<p><b>${info.summary}</b></p>
${markdown(info.description)}
<p>Try the API in <a href="/docs">Swagger UI</a>. Download the OpenAPI document as
<a href="/openapi.yaml">YAML</a> or <a href="/openapi.json">JSON</a>.</p>
${chapters.map(
  ({ name, description, operations }) => html`<section>
<h2 id="${idOf(name)}">${name}</h2>
${markdown(description)}
${operations.map(({ path, method, operation }) => operationOf(document, `${method} ${path}`, operation))}
</section>
`
)}<section>
<h2 id="schemas">Schemas</h2>
${schemas.map(([name, schema]) => schemaOf(name, schema))}
</section>
</main>
</html>
`
}

const idOf = (tag: string) => `tag-${tag.toLowerCase().replaceAll(' ', '-')}`

function operationOf(document: Document, route: string, operation: Operation): Html {
  const { requestBody, responses } = operation
  const parameters = (operation.parameters ?? []).map((part) => resolved<Parameter>(document, part))
  const answers = Object.entries(responses).map(([status, part]) => ({
    status,
    ...resolved<Response>(document, part)
  }))
  return html`<article id="${operation.operationId}">
<h3>${operation.summary}</h3>
<p><code>${route}</code></p>
${markdown(operation.description)}
<p><small>${callersOf(operation.security)}</small></p>
${
  parameters.length === 0
    ? ''
    : html`<h4>Parameters</h4>
<table><tbody>${parameters.map((parameter) =>
        row(parameter.name, parameter.schema, parameter.required ?? false, parameter.description)
      )}</tbody></table>
`
}${
  requestBody
    ? html`<h4>Body</h4>
${contentOf(document, requestBody.content)}`
    : ''
}<h4>Responses</h4>
<table><tbody>${answers.map(
    ({ status, description, content = {} }) => html`<tr><th><code>${status}</code></th>
<td>${code(description)}${Object.values(content).map(({ schema }) => html`<br>${typeOf(schema)}`)}</td></tr>
`
  )}</tbody></table>
${answers.filter(({ status }) => status < '300').map(({ content = {} }) => exampleOf(document, content))}
</article>
`
}

/** Describes the callers that an operation accepts. */
function callersOf(security: Operation['security']): Html {
  if (security.length === 0) return html`Needs no authentication.`
  const ways = security.flatMap((way) =>
    Object.values(way).map((scopes) =>
      scopes.length === 0 ? 'a session' : html`a token with <code>${scopes.join(', ')}</code>`
    )
  )
  return html`Requires ${ways.map((way, index) => [index === 0 ? '' : ' or ', way])}.`
}

function contentOf(document: Document, content: Content): Html {
  return html`${Object.entries(content).map(
    ([type, { schema }]) => html`<p><code>${type}</code>: ${typeOf(schema)}</p>
${propertiesOf(whole(document, schema))}`
  )}${exampleOf(document, content)}`
}

function exampleOf(document: Document, content: Content): Html {
  const [media] = Object.values(content)
  if (!media) return html``
  const example = media.example ?? whole(document, media.schema).examples?.[0]
  return example === undefined
    ? html``
    : html`<pre><code>${JSON.stringify(example, null, 2)}</code></pre>
`
}

function schemaOf(name: string, schema: Schema): Html {
  const limits = limitsOf(schema)
  return html`<article id="${name}">
<h3>${name}</h3>
${markdown(schema.description)}
${schema.properties ? propertiesOf(schema) : html`<p>${typeOf(schema)} <small>${limits}</small></p>`}
</article>
`
}

function whole(document: Document, schema: Schema): Schema {
  return schema.$ref ? (document.components.schemas[nameOf(schema.$ref)] ?? schema) : schema
}

function resolved<Part extends object>(document: Document, part: Part | Reference): Part {
  if (!('$ref' in part)) return part
  const [, , section = '', name = ''] = part.$ref.split('/')
  return document.components[section]?.[name] as Part
}
