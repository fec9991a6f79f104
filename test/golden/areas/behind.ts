import { setTimeout as sleep } from 'node:timers/promises'
import type { Recorder } from '../recorder.ts'
import type { Service } from '../service.ts'
import { ADMIN_EMAIL, PASSWORD } from '../world.ts'

/** Configuration behind a proxy that terminates TLS, with a browser application on another origin. */
export const BEHIND_PROXY = {
  PUBLIC_URL: 'https://vault.example.org',
  CORS_ORIGINS: 'https://app.example.org,http://localhost:3000',
  TRUST_PROXY: '127.0.0.1'
}

export async function behind(r: Recorder, service: Service): Promise<void> {
  r.area('behind-proxy')
  r.origin = service.origin
  const session = '/api/v1/session'
  const projects = '/api/v1/projects'
  const json = { email: ADMIN_EMAIL, password: PASSWORD }
  const app = { origin: 'https://app.example.org' }
  await r.get('livez', '/livez')
  await r.get('livez.listed-origin', '/livez', { headers: app })
  const forwarded = { 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'https' }
  const signedIn = await r.post('sign-in', session, { json, headers: { ...forwarded, ...app } })
  const admin = { cookie: new Map(signedIn.headers).get('set-cookie')!.split(';')[0]! }
  await r.post('sign-in.public-origin', session, { json, headers: { origin: 'https://vault.example.org' } })
  await r.post('sign-in.second-origin', session, { json, headers: { origin: 'http://localhost:3000' } })
  await r.post('sign-in.own-host', session, { json, headers: { origin: r.origin } })
  await r.post('sign-in.other-origin', session, { json, headers: { origin: 'https://evil.example.org' } })
  await r.post('sign-in.listed-but-cross-site', session, {
    json,
    headers: { ...app, 'sec-fetch-site': 'cross-site' }
  })
  await r.get('get', session, { as: admin, headers: app })
  await r.get('get.plain-cookie-name', session, {
    as: { cookie: admin.cookie.replace('__Host-', '') }
  })
  await r.get('sessions', '/api/v1/sessions', { as: admin })
  await r.get('other-origin', projects, { as: admin, headers: { origin: 'https://evil.example.org' } })
  await r.post('create', projects, { as: admin, json: { name: 'By CORS' }, headers: app, name: 'by-cors' })
  await r.get('refused', projects, { headers: app })
  await r.get('unknown', '/api/v1/nothing', { headers: app })
  const preflight = (method: string, headers?: string) => ({
    headers: {
      ...app,
      'access-control-request-method': method,
      'access-control-request-headers': headers
    }
  })
  await r.record('preflight', 'OPTIONS', projects, preflight('POST', 'content-type,if-match'))
  await r.record('preflight.get', 'OPTIONS', projects, preflight('GET'))
  await r.record('preflight.patch', 'OPTIONS', projects, preflight('PATCH'))
  await r.record('preflight.unknown-path', 'OPTIONS', '/api/v1/nothing', preflight('GET'))
  await r.record('preflight.other-origin', 'OPTIONS', projects, {
    headers: { origin: 'https://evil.example.org', 'access-control-request-method': 'POST' }
  })
  await r.record('options', 'OPTIONS', projects)
  await r.get('docs', '/docs/')
  await r.delete('sign-out', session, { as: admin, headers: app })

  r.area('stopping')
  service.terminate()
  for (let waited = 0; waited < 900; waited += 10) {
    const { status } = await r.exchange('wait', 'GET', '/readyz', {}).then(({ received }) => received)
    if (status === 503) break
    await sleep(10)
  }
  await r.get('readyz', '/readyz')
  await r.get('livez', '/livez')
  await r.get('session', session)
}
