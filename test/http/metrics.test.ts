import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { eventually } from '../helpers/eventually.ts'
import { newCredential, newType } from '../helpers/fixtures.ts'
import { startProxy } from '../helpers/proxy.ts'
import { startReplica } from '../helpers/replica.ts'

const service = await startTestApp(t, { METRICS_PORT: '0' })

function urlOf({ app }: Pick<typeof service, 'app'>) {
  const { address, port } = app.metrics.address!
  return `http://${address}:${port}/metrics`
}

async function scrape(of: Pick<typeof service, 'app'> = service): Promise<string> {
  const answer = await fetch(urlOf(of))
  if (answer.status !== 200) throw new Error(`${answer.status}`)
  return answer.text()
}

t.test('metrics are served on a separate port, and not on the public one', async (t) => {
  const { address } = service.app.metrics.address!
  t.equal(address, '127.0.0.1')
  const answer = await fetch(urlOf(service))
  t.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  t.equal((await fetch(urlOf(service).replace('/metrics', '/'))).status, 404)
  t.equal((await fetch(urlOf(service), { method: 'POST' })).status, 404)
  for (const client of [service.anonymous(), service.admin])
    t.equal((await client.get('/metrics')).status, 404)
  t.notOk((await service.anonymous().get('/openapi.yaml')).text.includes('/metrics'))
  const off = await startReplica(t, service)
  t.equal(off.app.metrics.address, undefined, 'without METRICS_PORT there are no metrics')
})

t.test('requests are counted and timed by route pattern, method and status class', async (t) => {
  const ann = await service.newUser({ name: 'Canary Name' })
  const { id } = await newCredential(ann, await newType(ann), { description: 'canary' })
  for (let i = 0; i < 3; i++) await ann.get(`/api/v1/app-credentials/${id}`)
  await ann.get('/api/v1/app-credentials?search=canary')
  await ann.get(`/api/v1/app-credentials/${ann.person.id}`)
  await ann.get('/canary')
  await eventually(
    async () => /route="unknown",status="4xx"\} [1-9]/.test(await scrape()),
    'all requests are counted'
  )
  const text = await scrape()
  const labels = 'method="GET",route="/api/v1/app-credentials/:id"'
  t.match(text, `latchkey_http_requests_total{${labels},status="2xx"} 3`)
  t.match(text, `latchkey_http_requests_total{${labels},status="4xx"} 1`)
  t.match(text, `latchkey_http_request_duration_seconds_count{${labels}} 4`)
  for (const name of ['resident_memory_bytes', 'cpu_seconds_total', 'start_time_seconds'])
    t.match(text, new RegExp(`^process_${name} [0-9.e+]+$`, 'm'))
  t.match(text, /^nodejs_eventloop_lag_p99_seconds [0-9.e-]+$/m)
  t.match(text, /^nodejs_heap_size_used_bytes [0-9.e+]+$/m)
  t.match(text, /^latchkey_data_key_values\{data_key="1",state="current"\} \d+$/m)
  t.match(text, /^latchkey_retired_data_keys_in_use 0$/m)
  t.match(text, /^latchkey_data_key_age_seconds [0-9.]+$/m)
  t.match(text, /^latchkey_audit_events_unsealed \d+$/m)
  t.match(text, /^latchkey_decryption_failures_total\{where="request"\} 0$/m)
  t.match(text, /^latchkey_keyring_refresh_failures_total 0$/m)
  for (const word of [/canary/i, id, ann.person.id, ann.person.email, /[0-9a-f]{8}-[0-9a-f]{4}/])
    t.notMatch(text, word)
})

t.test('frequent scrapes share one query of the database', async (t) => {
  const replica = await startReplica(t, service, { env: { METRICS_PORT: '0' } })
  const before = await scrape(replica)
  await newCredential(service.admin, await newType(service.admin))
  const values = (text: string) => /^latchkey_data_key_values.*$/m.exec(text)?.[0]
  t.equal(values(before), 'latchkey_data_key_values{data_key="1",state="current"} 2')
  t.equal(values(await scrape(replica)), values(before))
})

t.test('without the database, a scrape has all other metrics', async (t) => {
  const proxy = await startProxy(t, service.databaseUrl)
  const replica = await startReplica(t, service, {
    env: { METRICS_PORT: '0' },
    connection: { connectionString: proxy.url }
  })
  proxy.refuse()
  const text = await scrape(replica)
  t.match(text, /^process_resident_memory_bytes/m)
  t.notMatch(text, /^latchkey_data_key_values/m)
  t.notMatch(text, /^latchkey_retired_data_keys_in_use/m)
})

t.test('a port that is in use fails the start', async (t) => {
  const { port } = service.app.metrics.address!
  await t.rejects(startReplica(t, service, { env: { METRICS_PORT: String(port) } }), { code: 'EADDRINUSE' })
})
