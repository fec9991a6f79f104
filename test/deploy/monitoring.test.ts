import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { startTestApp } from '../helpers/app.ts'
import { dashboardQueries, type Rules } from './monitoring.ts'

const read = (path: string) => readFile(join(import.meta.dirname, '../..', path), 'utf8')
const rules = parse(await read('deploy/monitoring/rules.yaml')) as Rules
const alerts = rules.groups.flatMap((group) => group.rules)
const page = await read('docs/operations/monitoring.md')

/** The metrics that Prometheus adds for each target. */
const FROM_PROMETHEUS = ['up']
const LABELS_FROM_PROMETHEUS = ['job', 'instance', 'le']

t.test('the service exposes every metric in the rules and on the dashboard', async (t) => {
  const service = await startTestApp(t, { METRICS_PORT: '0' })
  await service.admin.get('/api/v1/projects')
  const { address, port } = service.app.metrics.address!
  const text = await (await fetch(`http://${address}:${port}/metrics`)).text()
  const shown = new Map<string, Set<string>>()
  for (const [, name = '', labels = ''] of text.matchAll(/^([a-z][\w]*)(?:\{(.*)\})? /gm)) {
    const known = shown.get(name) ?? new Set()
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) known.add(label)
    shown.set(name, known)
  }
  t.ok(shown.size > 40, `${shown.size} metrics`)

  const queries = [...alerts.map(({ expr }) => expr), ...(await dashboardQueries())]
  t.ok(queries.length > 25, `${queries.length} queries`)
  const used = new Set<string>()
  for (const query of queries) {
    const names = query.match(/\b(latchkey|process|nodejs)_\w+|\bup\b/g) ?? []
    t.ok(names.length > 0, query)
    for (const name of names) {
      if (FROM_PROMETHEUS.includes(name)) continue
      used.add(name)
      t.ok(shown.has(name), name)
      const [, matchers = ''] = new RegExp(`${name}\\{([^}]*)\\}`).exec(query) ?? []
      for (const [, label = ''] of matchers.matchAll(/(\w+)(?:=|!=|=~|!~)"/g))
        t.ok(shown.get(name)?.has(label) || LABELS_FROM_PROMETHEUS.includes(label), `${name}{${label}}`)
    }
  }
  for (const name of shown.keys()) {
    if (!name.startsWith('latchkey_')) continue
    t.ok(used.has(name) || /_(sum|count|bucket)$/.test(name), `${name} is on the dashboard or in a rule`)
    t.match(page, name.replace(/_(sum|count|bucket)$/, ''), `${name} is on the page`)
  }
})

t.test('every alert has a description, and is on the page', async (t) => {
  t.ok(alerts.length >= 10)
  for (const { alert, labels, annotations } of alerts) {
    t.match(labels, { severity: /^(critical|warning)$/ }, alert)
    t.ok(annotations.summary && annotations.description, alert)
    t.match(page, `| \`${alert}\` |`)
  }
  for (const name of page.match(/`Latchkey\w+`/g) ?? [])
    t.ok(
      alerts.some(({ alert }) => `\`${alert}\`` === name),
      name
    )
})

t.test('the rules for the Prometheus operator are the same', async (t) => {
  const { spec } = parse(await read('deploy/kubernetes/monitoring/prometheus-rule.yaml'))
  t.same(spec, rules)
})
