import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

const directory = join(import.meta.dirname, '../../deploy/monitoring')

export interface Rules {
  groups: { name: string; rules: Alert[] }[]
}

export interface Alert {
  alert: string
  expr: string
  labels: Record<string, string>
  annotations: { summary: string; description: string }
}

interface Panel {
  title: string
  targets?: { expr: string }[]
}

/** Returns the queries of the Grafana dashboard, with values for their variables. */
export async function dashboardQueries(): Promise<string[]> {
  const { panels } = JSON.parse(await readFile(join(directory, 'dashboard.json'), 'utf8')) as {
    panels: Panel[]
  }
  return panels
    .flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
    .map((query) => query.replaceAll(/\$__rate_interval|\$__range/g, '5m').replaceAll('$instance', '.*'))
}
