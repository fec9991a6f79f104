import type { Recorder } from '../recorder.ts'

/** Requests that need no caller: probes, documents, and everything that reaches no operation. */
export async function open(r: Recorder): Promise<void> {
  r.area('open')
  await r.get('livez', '/livez')
  await r.get('readyz', '/readyz')
  await r.record('livez.head', 'HEAD', '/livez')
  await r.get('livez.query', '/livez?nonsense=1')
  await r.get('readyz.query', '/readyz?nonsense=1')
  await r.get('livez.accept', '/livez', { headers: { accept: 'text/html' } })
  await r.get('livez.accept-encoding', '/livez', { headers: { 'accept-encoding': 'gzip, br' } })
  await r.get('livez.own-request-id', '/livez', { headers: { 'x-request-id': undefined } })
  await r.get('livez.bad-request-id', '/livez', { headers: { 'x-request-id': 'two words' } })
  await r.get('livez.body', '/livez', { json: { ignored: true } })
  await r.get('livez.slash', '/livez/')
  await r.get('livez.upper-case', '/LIVEZ')

  for (const path of [
    '/docs',
    '/docs/',
    '/docs/openapi.json',
    '/docs/nothing',
    '/docs/start.js',
    '/docs/swagger-ui.css'
  ])
    await r.get(`docs.${path.slice(6).replace('/', '.') || path.length}`, path)
  await r.get('openapi-json', '/openapi.json')
  await r.get('openapi-yaml', '/openapi.yaml')
  await r.record('openapi-json.head', 'HEAD', '/openapi.json')
  await r.post('openapi-json.post', '/openapi.json', { json: {} })

  await r.record('reference.head', 'HEAD', '/reference')
  await r.get('index', '/')
  await r.get('index.browser', '/', { headers: { accept: 'text/html,*/*;q=0.8' } })
  await r.get('icon', '/favicon.ico')

  await r.get('unknown', '/nothing')
  await r.get('unknown.api', '/api/v1/nothing')
  await r.post('unknown.post', '/api/v1/nothing', { json: {} })
  await r.get('unknown.lightning', '/api/nothing')
  await r.get('unknown.metrics', '/metrics')
  for (const method of ['PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'DELETE'])
    await r.record(`method.${method.toLowerCase()}`, method, '/api/v1/projects')
  await r.put('method.put', '/api/v1/projects', { json: {} })
  await r.record('method.options.livez', 'OPTIONS', '/livez')
  await r.post('method.post.livez', '/livez', { json: {} })
  await r.record('preflight.no-cors', 'OPTIONS', '/api/v1/projects', {
    headers: { origin: 'https://app.example.org', 'access-control-request-method': 'POST' }
  })

  await r.get('url.percent', '/api/v1/projects/%')
  await r.get('url.not-utf8', '/api/v1/projects/%ff')
  await r.get('url.query-percent', '/livez?a=%')
  await r.get('url.nul', '/api/v1/users/%00')
  await r.get('url.long-part', `/api/v1/projects/${'a'.repeat(16_385)}`.slice(0, 16_000))
  await r.get('url.too-long-part', `/x/${'a'.repeat(500)}`)
  await r.recordBytes('bytes.no-http', 'no HTTP at all', 'nonsense\r\n\r\n')
  await r.recordBytes('bytes.no-host', 'no Host', 'GET /livez HTTP/1.1\r\n\r\n')
  await r.recordBytes(
    'bytes.two-hosts',
    'two Hosts',
    'GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\nX-Request-Id: two\r\nConnection: close\r\n\r\n'
  )
  await r.recordBytes(
    'bytes.two-lengths',
    'a length and chunks',
    'POST /api/v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}'
  )
  await r.recordBytes(
    'bytes.large-header',
    'headers over 16 KiB',
    `GET /livez HTTP/1.1\r\nHost: a\r\nX-Large: ${'a'.repeat(17_000)}\r\n\r\n`
  )
  await r.recordBytes(
    'bytes.http-1.0',
    'HTTP/1.0',
    'GET /livez HTTP/1.0\r\nHost: a\r\nX-Request-Id: old\r\n\r\n'
  )
  await r.recordBytes(
    'bytes.expect',
    'an Expect that is not known',
    'GET /livez HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nX-Request-Id: tea\r\nConnection: close\r\n\r\n'
  )
}
