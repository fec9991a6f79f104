import { readFile, writeFile } from 'node:fs/promises'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Comparison, Figures } from './measure.ts'
import type { Memory } from './memory.ts'
import type { DrawName } from './routes.ts'

/** The result of one route with one draw and number of connections. */
export interface Row extends Comparison {
  route: string
  /** The name of the other side. */
  with: string
  draw: DrawName
  connections: number
}

/** The result of a reference route, measured alone. */
export interface ReferenceRow {
  route: string
  draw: DrawName
  connections: number
  figures: Figures
}

export interface Results {
  rows: Row[]
  references: ReferenceRow[]
  /** Keyed by the name of the side. */
  memory: Record<string, Memory>
}

const BEGIN = '<!-- results -->'
const END = '<!-- /results -->'
const page = join(import.meta.dirname, '../docs/explanation/performance.md')

export function machine(postgresVersion: string): string {
  const all = cpus()
  const gibibytes = Math.round(totalmem() / 1024 ** 3)
  return [
    `${new Date().toISOString().slice(0, 10)}: ${all[0]?.model.trim() ?? 'unknown'}, ${all.length} cores`,
    `${gibibytes} GiB, load average ${loadavg()[0]!.toFixed(1)}; Node ${process.versions.node}`,
    `Postgres ${postgresVersion}`
  ].join(', ')
}

/** One line, printed as soon as the row is measured. */
export function line(row: Row): string {
  const rates = `${whole(row.a.perSecond)}/s, ${row.with} ${whole(row.b.perSecond)}/s`
  return `${row.route}, ${row.draw}, ${row.connections} connections: ${interval(row)} (${rates})`
}

/** Formats the results as Markdown tables that are readable in a terminal too. */
export function tables({ rows, references, memory }: Results, isAgainst: boolean): string {
  const parts: string[] = []
  if (references.length > 0) parts.push(referencesTable(references))
  if (rows.length > 0) parts.push(isAgainst ? againstTable(rows) : routesTable(rows))
  if (Object.keys(memory).length > 0) parts.push(memoryTable(memory))
  return parts.join('\n\n')
}

function againstTable(rows: readonly Row[]): string {
  return table(
    [
      ...[
        'route',
        'draw',
        'conn.',
        'this/other',
        '90 %',
        'req/s',
        'other',
        'p50 ms',
        'other',
        'p99 ms',
        'other'
      ],
      ...['Node', 'this/other', 'Postgres', 'this/other']
    ],
    rows.map((row) => {
      const { a, b } = row
      return [
        ...[row.route, row.draw, row.connections, row.ratio.median.toFixed(2), spread(row)],
        ...[whole(a.perSecond), whole(b.perSecond)],
        ...[a.p50.toFixed(2), b.p50.toFixed(2), a.p99.toFixed(2), b.p99.toFixed(2)],
        ...cpu(a.nodeCpu, b.nodeCpu),
        ...cpu(a.postgresCpu, b.postgresCpu)
      ]
    })
  )
}

const FIGURES = ['req/s', 'p50 ms', 'p99 ms', 'Node µs', 'Postgres µs']

function referencesTable(references: readonly ReferenceRow[]): string {
  return table(
    ['reference', 'draw', 'conn.', ...FIGURES],
    references.map((row) => [row.route, row.draw, row.connections, ...figures(row.figures)])
  )
}

function routesTable(rows: readonly Row[]): string {
  return table(
    ['route', 'draw', 'conn.', ...FIGURES, 'reference', 'ratio', '90 %'],
    rows.map((row) => [
      ...[row.route, row.draw, row.connections, ...figures(row.a)],
      ...[row.with, row.ratio.median.toFixed(2), spread(row)]
    ])
  )
}

function memoryTable(memory: Results['memory']): string {
  const megabytes = (bytes: number | null) => (bytes === null ? '' : `${(bytes / 1e6).toFixed(0)} MB`)
  return table(
    ['', 'start to ready', 'resident after start', 'requests of the mix', 'resident after them'],
    Object.entries(memory).map(([name, one]) => [
      name,
      `${whole(one.startMs)} ms`,
      megabytes(one.afterStart),
      whole(one.requests),
      megabytes(one.afterRequests)
    ])
  )
}

/** Replaces the text between the markers of docs/explanation/performance.md. */
export async function writeResults(text: string): Promise<void> {
  const old = await readFile(page, 'utf8')
  const [begin, end] = [old.indexOf(BEGIN), old.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${page} has no results section`)
  await writeFile(page, `${old.slice(0, begin)}${BEGIN}\n${text}\n${old.slice(end)}`)
}

const interval = (row: Row) => `${row.ratio.median.toFixed(2)} [${spread(row)}]`
const spread = ({ ratio }: Row) => `${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)}`
const whole = (value: number) => Math.round(value).toLocaleString('en')
const micros = (value: number | null) => (value === null ? '' : whole(value))

const figures = (one: Figures) => [
  whole(one.perSecond),
  one.p50.toFixed(2),
  one.p99.toFixed(2),
  micros(one.nodeCpu),
  micros(one.postgresCpu)
]

/** The microseconds of both sides and their ratio. */
function cpu(a: number | null, b: number | null): [string, string] {
  return a === null || b === null ? ['', ''] : [`${whole(a)} / ${whole(b)} µs`, (a / b).toFixed(2)]
}

function table(head: string[], rows: (string | number)[][]): string {
  const cells = [head, ...rows.map((row) => row.map(String))]
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const format = (row: string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [format(cells[0]!), rule, ...cells.slice(1).map(format)].join('\n')
}
