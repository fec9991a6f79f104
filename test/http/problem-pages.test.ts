import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { problemsPage } from '../../scripts/problems.ts'
import { problems } from '../../src/http/problems.ts'
import { startTestApp } from '../helpers/app.ts'
import { send } from '../helpers/raw-request.ts'

const { origin } = await startTestApp(t)

/** Returns the visible text of a page. */
const read = (html: string) =>
  html
    .replaceAll(/<style>.*?<\/style>|<[^>]+>/gs, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&amp;', '&')

t.test('the type of a problem links to a page with its meaning, likely cause and remedy', async (t) => {
  const refusal = await send(origin, '/api/v1/session')
  t.equal(refusal.json.type, '/docs/problems/unauthenticated')
  const page = await send(origin, refusal.json.type)
  t.match(page, { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } })
  t.match(page.text, `<h1>${refusal.json.title}</h1>`)
  t.ok(problems.size > 40, `${problems.size} problems`)
  for (const [code, { status, title, detail, causes, help }] of problems) {
    const { text } = await send(origin, `/docs/problems/${code}`)
    for (const part of [code, String(status), title, detail, causes, help])
      t.ok(read(text).includes(part.replaceAll('`', '')), `${code}: ${part}`)
    t.notMatch(text, '`', code)
  }
})

t.test('a list links to all pages', async (t) => {
  for (const path of ['/docs/problems', '/docs/problems/']) {
    const { status, text } = await send(origin, path)
    t.equal(status, 200)
    const links = [...text.matchAll(/href="\/docs\/problems\/([^"]+)"/g)].map((match) => match[1])
    t.same(links.sort(), [...problems.keys()].sort())
  }
})

t.test('docs/reference/problems.md is current, and has all codes', async (t) => {
  const page = await readFile(join(import.meta.dirname, '../../docs/reference/problems.md'), 'utf8')
  t.equal(page, problemsPage(), 'run `npm run problems`, read the diff')
  for (const code of problems.keys()) t.match(page, `\n## ${code}\n`)
})

t.test('the pages run no script, need no session, and are revalidated', async (t) => {
  for (const path of ['/docs/problems', '/docs/problems/not-found']) {
    const page = await send(origin, path)
    const policy = String(page.headers['content-security-policy'])
    t.match(policy, /^default-src 'none';style-src 'sha256-[^']+';/)
    t.notMatch(policy, /script-src|unsafe/)
    t.notMatch(page.text, /<script|\son\w+=|style="/)
    t.equal(page.headers['x-content-type-options'], 'nosniff')
    const headers = { 'if-none-match': String(page.headers.etag) }
    t.equal((await send(origin, path, { headers })).status, 304)
    const head = await send(origin, path, { method: 'HEAD' })
    t.same([head.status, head.text, head.headers.etag], [200, '', page.headers.etag])
    t.match((await send(origin, path, { method: 'POST' })).status, 405)
  }
})

t.test('unknown codes have no page', async (t) => {
  for (const code of ['nothing', '__proto__', 'constructor', '%3Cscript%3E', 'not-found/x']) {
    const answer = await send(origin, `/docs/problems/${code}`)
    t.match(answer.json, { status: 404, code: 'no-such-route' }, code)
    t.notMatch(answer.text, 'script')
  }
})
