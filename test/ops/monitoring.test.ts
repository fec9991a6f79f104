// The alert rules and the dashboard in deploy/monitoring, in a Prometheus that scrapes a running service.
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { dashboardQueries, type Rules } from '../deploy/monitoring.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { freePort } from '../helpers/free-port.ts'
import { makeBed, missing } from './bed.ts'
import { fileOnPage } from './page.ts'
import { serviceIn } from './replicas.ts'

t.setTimeout(180_000)

const directory = join(import.meta.dirname, '../../deploy/monitoring')
const read = (name: string) => readFile(join(directory, name), 'utf8')
const withPrometheus = await missing('prometheus', 'promtool').then((skip) => (skip ? { skip } : {}))

t.test('promtool accepts the rules, and each of them fires when it should', withPrometheus, async (t) => {
  const bed = await makeBed(t)
  const there = await bed.makeDirectory('monitoring')
  await cp(directory, there, { recursive: true })
  t.match(await bed.run('promtool', ['check', 'rules', join(there, 'rules.yaml')]), 'SUCCESS')
  t.match(await bed.run('promtool', ['test', 'rules', join(there, 'rules.test.yaml')]), 'SUCCESS')
  const { groups } = parse(await read('rules.yaml')) as Rules
  const { tests } = parse(await read('rules.test.yaml'))
  type Tested = { alertname: string; exp_alerts?: unknown[] }
  const tested: Tested[] = tests.flatMap((one: { alert_rule_test: Tested[] }) => one.alert_rule_test)
  for (const { alert } of groups.flatMap(({ rules }) => rules)) {
    const cases = tested.filter(({ alertname }) => alertname === alert)
    t.ok(
      cases.some(({ exp_alerts }) => exp_alerts?.length) && cases.some(({ exp_alerts }) => !exp_alerts),
      alert
    )
  }
})

t.test('Prometheus scrapes the service with the configuration on the page', withPrometheus, async (t) => {
  const bed = await makeBed(t)
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const service = await serviceIn(t, bed)
  const [metricsPort, port] = [await freePort(), await freePort()]
  const replica = service.run({ DATABASE_URL: database.url, METRICS_PORT: String(metricsPort) })
  const [, origin] = await replica.printed(/listens on (http:\S+)/)
  await fetch(`${origin}/api/v1/session`)

  const config = parse(await fileOnPage('prometheus.yml', 'monitoring.md'))
  t.same(config.rule_files, ['/etc/prometheus/latchkey.yaml'])
  config.rule_files = [await bed.write('latchkey.yaml', await read('rules.yaml'))]
  config.global.scrape_interval = '1s'
  const [job] = config.scrape_configs
  t.equal(job.job_name, 'latchkey')
  job.static_configs = [{ targets: [`127.0.0.1:${metricsPort}`] }]
  const file = await bed.write('prometheus.yml', stringify(config))
  const prometheus = bed.start('prometheus', 'prometheus', [
    `--config.file=${file}`,
    `--storage.tsdb.path=${await bed.makeDirectory('data')}`,
    `--web.listen-address=127.0.0.1:${port}`
  ])
  // biome-ignore lint/suspicious/noExplicitAny: Prometheus' answers have no type here
  const ask = async (path: string): Promise<any> =>
    (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json()
  const valuesOf = async (query: string) => {
    const answer = await ask(`query?query=${encodeURIComponent(query)}`)
    if (answer.status !== 'success') throw new Error(`${query}: ${answer.error}`)
    return answer.data.result as unknown[]
  }
  const hasScraped = () =>
    valuesOf('count_over_time(latchkey_http_requests_total[1m]) >= 3').then(
      ({ length }) => length > 0,
      () => false
    )
  await eventually(hasScraped, 'Prometheus scrapes the service', 60_000).catch(async (error) => {
    throw new Error(`${error.message}: ${await prometheus.output()}`)
  })
  t.equal((await valuesOf('up{job="latchkey"} == 1')).length, 1)
  const { data } = await ask('rules')
  for (const { name, lastError } of data.groups[0].rules) t.notOk(lastError, name)
  for (const query of await dashboardQueries()) {
    const found = await valuesOf(query)
    // No request has failed yet, so this series does not exist.
    if (!query.includes('status="5xx"')) t.ok(found.length > 0, query)
  }
})
