import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { FixedContent, serveFixed } from './fixed-content.ts'
import { type ProblemKind, typeOf } from './problem.ts'
import { NoSuchRoute, problems } from './problems.ts'

const STYLE = `body{max-width:44rem;margin:3rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif}
code{background:#f0f0ee;padding:.1em .3em;border-radius:3px}
td,th{text-align:left;vertical-align:top;padding:.2rem .5rem .2rem 0}
h1,p,td:last-child{overflow-wrap:anywhere}
@media(max-width:32rem){th{display:none}tr,td:last-child{display:block}tr{margin-bottom:.5rem}}`

/** Allows the style of these pages, and nothing else. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join(';')

/** Serves a page about each problem code, at the `type` of its problems, and a list of all codes. */
export function serveProblemPages(app: FastifyInstance): void {
  const headers = { 'content-security-policy': POLICY }
  const kinds = [...problems.values()].sort((one, other) => one.status - other.status)
  const pages = new Map(kinds.map((kind) => [kind.code, contentOf(kind.title, bodyOf(kind))] as const))
  const list = contentOf('Problem codes', listOf(kinds))
  for (const url of ['/docs/problems', '/docs/problems/']) serveFixed(app, url, list, headers)
  const pageAt = (request: FastifyRequest) => {
    const { code } = request.params as { code: string }
    const page = pages.get(code)
    if (!page) throw new NoSuchRoute()
    return page
  }
  serveFixed(app, typeOf(':code'), pageAt, headers)
}

const contentOf = (title: string, body: string) =>
  new FixedContent('text/html; charset=utf-8', () => pageOf(title, body))

const pageOf = (title: string, body: string) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} – Latchkey</title>
<link rel="icon" href="/favicon.ico" type="image/svg+xml">
<style>${STYLE}</style>
${body}
</html>
`

const bodyOf = ({ code, status, title, detail, causes, help }: ProblemKind) => `<h1>${title}</h1>
<p><code>${code}</code>, status ${status}</p>
<h2>What it means</h2>
<p>${textOf(detail)}</p>
<h2>Likely cause</h2>
<p>${textOf(causes)}</p>
<h2>What to do</h2>
<p>${textOf(help)}</p>
<p><a href="/docs/problems">All problem codes</a> · <a href="/docs">All operations</a></p>`

const listOf = (kinds: readonly ProblemKind[]) => `<h1>Problem codes</h1>
<p>Errors are <code>application/problem+json</code> (RFC 9457), with a stable <code>code</code> for programs.
Later versions may add codes. Handle an unknown code by its status.</p>
<table>
<tr><th>Status<th>Code<th>Meaning
${kinds.map(rowOf).join('\n')}
</table>
<p><a href="/docs">All operations</a></p>`

const rowOf = ({ code, status, detail }: ProblemKind) =>
  `<tr><td>${status}<td><a href="${typeOf(code)}">${code}</a><td>${textOf(detail)}`

/** Converts a text with code between backquotes to HTML. */
const textOf = (text: string) =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll(/`([^`]+)`/g, '<code>$1</code>')
