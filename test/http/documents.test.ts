import { createHash } from 'node:crypto'
import t from 'tap'
import packageJson from '../../package.json' with { type: 'json' }
import { startTestApp } from '../helpers/app.ts'
import { send } from '../helpers/raw-request.ts'
import { startReplica } from '../helpers/replica.ts'

const service = await startTestApp(t)
const { origin } = service
const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8'

/** Returns the URLs of the scripts and styles that a page loads, with their versions. */
const assetsOf = (page: string) =>
  [...page.matchAll(/(?:src|href)="([^"]+\.(?:js|css)(?:\?[^"]*)?)"/g)].map(([, url]) => url!)

t.test('/ redirects browsers to the documentation, and returns links to other clients', async (t) => {
  for (const accept of [
    BROWSER,
    'text/html',
    'TEXT/HTML',
    'text/*',
    'application/json;q=0.5, text/html;q=0.6'
  ]) {
    for (const method of ['GET', 'HEAD']) {
      const answer = await send(origin, '/', { method, headers: { accept } })
      t.equal(answer.status, 302, `${method} ${accept}`)
      t.equal(answer.headers.location, '/docs')
      t.match(answer.headers.vary, /accept/i, 'caches store both variants')
    }
  }
  const others = [
    ...[
      '*/*',
      '',
      'application/json',
      'application/json, text/plain, */*',
      'text/html;q=0',
      'text/html;q=nan'
    ],
    ...['text/html;q=0.5, */*', 'application/json, text/html', 'nonsense', ',;,;q=;=', 'a,'.repeat(4000)]
  ]
  for (const headers of [{}, ...others.map((accept) => ({ accept }))]) {
    const answer = await send(origin, '/', { headers })
    t.equal(answer.status, 200, JSON.stringify(headers).slice(0, 80))
    t.match(answer.json, { name: 'Latchkey', version: /^\d+\.\d+\.\d+/ })
  }
  const head = await send(origin, '/', { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(head.text, '')
  const { version, links } = (await send(origin, '/')).json
  t.equal(version, packageJson.version)
  t.same(Object.keys(links), ['documentation', 'reference', 'openapi', 'health'])
  for (const [name, url] of Object.entries<string>(links))
    t.equal((await send(origin, url)).status, 200, `${name} exists`)
})

t.test('requests with an invalid token or session get the public pages', async (t) => {
  for (const path of ['/', '/docs', '/favicon.ico', '/openapi.json']) {
    const headers = { authorization: 'Bearer lk_pat_x', cookie: 'latchkey_session=x' }
    t.equal((await send(origin, path, { headers })).status, 200, path)
  }
})

t.test('there is an icon for browsers', async (t) => {
  const icon = await send(origin, '/favicon.ico')
  t.equal(icon.status, 200)
  t.match(icon.headers['content-type'], /^image\/svg\+xml/)
  t.match(icon.headers['content-security-policy'], "default-src 'none'", 'it cannot run scripts')
})

t.test('pages, scripts and the document are compressed for clients that accept gzip', async (t) => {
  const page = await send(origin, '/docs')
  const documents = ['/docs', '/reference', '/docs/openapi.json', '/openapi.json', '/openapi.yaml']
  const urls = [...documents, ...assetsOf(page.text), '/reference/style.css']
  t.equal(urls.length, 9)
  for (const url of urls) {
    const plain = await fetch(origin + url, { headers: { 'accept-encoding': 'identity' } })
    const body = Buffer.from(await plain.arrayBuffer())
    t.equal(plain.headers.get('content-encoding'), null)
    t.equal(Number(plain.headers.get('content-length')), body.length)
    for (const encodings of ['gzip', 'br, GZIP', 'gzip;q=0.1', '*']) {
      const answer = await fetch(origin + url, { headers: { 'accept-encoding': encodings } })
      t.equal(answer.headers.get('content-encoding'), 'gzip', `${url} ${encodings}`)
      t.match(answer.headers.get('vary'), /accept-encoding/i)
      t.not(answer.headers.get('etag'), plain.headers.get('etag'), 'a separate ETag')
      t.ok(body.equals(Buffer.from(await answer.arrayBuffer())), 'the same content')
      const length = Number(answer.headers.get('content-length'))
      t.ok(body.length < 1000 || length < body.length / 2, `${url} ${length} of ${body.length} bytes`)
    }
    for (const encodings of ['br', 'gzip;q=0', 'gzip;q=0, *'])
      t.equal(
        (await send(origin, url, { headers: { 'accept-encoding': encodings } })).headers['content-encoding'],
        undefined
      )
  }
})

t.test('unchanged files are not sent again', async (t) => {
  for (const url of ['/docs', '/openapi.json', '/openapi.yaml', '/docs/swagger-ui.js', '/favicon.ico']) {
    for (const encoding of ['identity', 'gzip']) {
      const get = (headers: object) =>
        send(origin, url, { headers: { 'accept-encoding': encoding, ...headers } })
      const { headers } = await get({})
      const etag = headers.etag!
      t.match(etag, /^"[\w-]{22}(-gzip)?"$/, 'a strong ETag')
      t.equal(headers['cache-control'], 'no-cache')
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const answer = await get({ 'if-none-match': known })
        t.equal(answer.status, 304, `${url} ${known}`)
        t.equal(answer.text, '')
        t.equal(answer.headers.etag, etag)
        t.match(answer.headers['content-security-policy'], "default-src 'none'")
      }
      for (const other of ['"other"', 'W/"other"', etag.slice(1, -1), ''])
        t.equal((await get({ 'if-none-match': other })).status, 200, `${url} ${other}`)
      const head = await send(origin, url, { method: 'HEAD', headers: { 'accept-encoding': encoding } })
      t.equal(head.headers.etag, etag)
      t.equal(head.headers['content-length'], headers['content-length'])
    }
  }
})

t.test('pages load their files by hash, and caches may keep these files forever', async (t) => {
  const urls = assetsOf((await send(origin, '/docs')).text)
  t.equal(urls.length, 3)
  const [style, ...more] = assetsOf((await send(origin, '/reference')).text)
  t.same(more, [])
  urls.push(style!)
  for (const url of urls) {
    const file = await send(origin, url)
    t.equal(file.headers['cache-control'], 'public, max-age=31536000, immutable', url)
    const hash = createHash('sha256').update(file.text).digest('base64url').slice(0, 22)
    t.ok(url.endsWith(`?v=${hash}`), `${url} has the hash of its content`)
    // During an update, a page of the new version may request files from a replica of the old one.
    for (const other of [url.replace(/v=.*/, 'v=another'), `${url}&v=${hash}`, `${url}x`, url.split('?')[0]!])
      t.equal((await send(origin, other)).headers['cache-control'], 'no-cache', other)
  }
  const replica = await startReplica(t, service)
  t.same(assetsOf((await send(replica.origin, '/docs')).text), urls.slice(0, 3), 'the same on every replica')
})

t.test('concurrent requests for a file that is not compressed yet get the same response', async (t) => {
  const { origin } = await startReplica(t, service)
  const answers = await Promise.all(
    Array.from({ length: 40 }, () =>
      fetch(`${origin}/docs/swagger-ui.js`, { headers: { 'accept-encoding': 'gzip' } }).then((one) =>
        one.text()
      )
    )
  )
  t.equal(new Set(answers).size, 1)
  t.ok(answers[0]!.length > 1e6)
  const bytes = await send(origin, '/docs/swagger-ui.js', { headers: { 'accept-encoding': 'gzip' } })
  t.equal(bytes.headers['content-encoding'], 'gzip')
})

t.test('Swagger UI gets a document with only what it supports', async (t) => {
  const shown = (await send(origin, '/docs/openapi.json')).json
  const { document } = service.contract
  t.same(Object.keys(shown.paths), Object.keys(document.paths))
  t.same(Object.keys(shown.components.securitySchemes), ['bearerToken'], 'pages cannot set a cookie')
  const ways = Object.values<Record<string, { security: object[] }>>(shown.paths)
    .flatMap((operations) => Object.values(operations))
    .flatMap(({ security }) => security.flatMap((way) => Object.keys(way)))
  t.same([...new Set(ways)], ['bearerToken'])
  const refusals = Object.values<Record<string, { responses: Record<string, object> }>>(shown.paths)
    .flatMap((operations) => Object.values(operations))
    .flatMap(({ responses }) => Object.entries(responses))
    .filter(([status]) => Number(status) >= 400)
  t.ok(refusals.length > 300, `${refusals.length} refusals`)
  for (const [, refusal] of refusals) t.same(Object.keys(refusal), ['description'], 'only a description')
  t.same(Object.keys((await send(origin, '/openapi.json')).json.components.securitySchemes).sort(), [
    'bearerToken',
    'sessionCookie'
  ])
})

t.test('the reference has every operation and schema, and all its links work', async (t) => {
  const page = await send(origin, '/reference')
  t.equal(page.status, 200)
  t.match(page.headers['content-type'], /^text\/html/)
  const policy = String(page.headers['content-security-policy'])
  t.match(policy, /^default-src 'none'/)
  t.notMatch(policy, /script-src|unsafe|https?:|\*/, 'it has no scripts and loads nothing from elsewhere')
  t.notMatch(page.text, /<script|\son\w+=|style="|javascript:|https?:\/\//i)
  t.notMatch(page.text, /undefined|\[object|NaN/)
  const ids = [...page.text.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id!)
  t.equal(new Set(ids).size, ids.length, 'ids are unique')
  const links = [...page.text.matchAll(/ href="([^"]*)"/g)].map(([, link]) => link!)
  for (const link of new Set(links)) {
    if (link.startsWith('#')) t.ok(ids.includes(link.slice(1)), link)
    else t.equal((await send(origin, link)).status, 200, link)
  }
  const { paths, components } = (await send(origin, '/openapi.json')).json
  const operations = Object.values<Record<string, { operationId: string }>>(paths).flatMap((methods) =>
    Object.values(methods).map(({ operationId }) => operationId)
  )
  for (const name of [...operations, ...Object.keys(components.schemas)]) t.ok(ids.includes(name), name)
})

t.test('descriptions use the Markdown that the reference can render', async (t) => {
  const descriptions: string[] = []
  JSON.stringify((await send(origin, '/openapi.json')).json, (key, value) => {
    if (key === 'description' && typeof value === 'string') descriptions.push(value)
    return value
  })
  t.ok(descriptions.length > 200, `${descriptions.length} descriptions`)
  const others = /^#+ |^\||^\d+\. |^> |^\* |```|\*\*|\]\(|^ +- |<\w/m
  t.same(
    descriptions.filter((text) => others.test(text.replace(/`[^`]*`/g, ''))),
    []
  )
  t.same(
    descriptions.filter((text) => text.split('`').length % 2 === 0),
    [],
    'backticks are paired'
  )
  // A blank line must separate a list from the text before it.
  t.same(
    descriptions.filter((text) => /^(?!- )[^\n]+\n- /m.test(text)),
    []
  )
})
