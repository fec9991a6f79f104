import { readFile, writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Figures, Measured, Plan } from './measure.ts'
import type { Memory } from './memory.ts'
import type { PgbenchFigures } from './pgbench.ts'
import type { Target } from './targets.ts'
import type { World } from './world.ts'

export interface Results {
  date: string
  machine: Record<string, string | number>
  plan: Plan
  references: Measured[]
  pgbench: PgbenchFigures[] | undefined
  routes: Measured[]
  memory: Memory | undefined
  targets: Target[]
}

const root = join(import.meta.dirname, '..')
const BEGIN = '<!-- results -->'
const END = '<!-- /results -->'

export function machineOf(world: World): Results['machine'] {
  const all = cpus()
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    node: process.versions.node,
    postgres: world.postgres.version,
    load: world.generator.name
  }
}

/** Writes the figures to `bench/results.json`, and as tables between the markers in `docs/performance.md`. */
export async function writeResults(results: Results): Promise<void> {
  const tidy = (_: string, value: unknown) =>
    typeof value === 'number' ? Number(value.toPrecision(5)) : value
  await writeFile(join(root, 'bench/results.json'), `${JSON.stringify(results, tidy, 2)}\n`)
  const page = join(root, 'docs/performance.md')
  const text = await readFile(page, 'utf8')
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${page} has no place for results`)
  const tables = `${BEGIN}\n${tablesOf(results)}\n`
  await writeFile(page, text.slice(0, begin) + tables + text.slice(end))
}

/** The tables in Markdown, which reads in a terminal as well. */
export function tablesOf({ date, machine, references, pgbench, routes, memory, targets }: Results): string {
  const { cpu, cores, memoryGiB, node, postgres, load } = machine
  const parts = [
    `${date.slice(0, 10)}: ${cpu}, ${cores} cores, ${memoryGiB} GiB; Node ${node}, Postgres ${postgres}, ${load}.`,
    table(
      [
        'route',
        'conn.',
        'requests/s',
        'p50 ms',
        'p99 ms',
        'CPU µs Node',
        'Postgres',
        'of bare',
        'of row',
        'of its own'
      ],
      [
        ...(pgbench ?? []).map((one) => ['*pgbench*', one.connections, whole(one.perSecond), ...empty(7)]),
        ...references.map((one) => [`*${one.name}*`, one.connections, ...figuresOf(one), ...empty(3)]),
        ...routes.map((one) => [
          one.name,
          one.connections,
          ...figuresOf(one),
          ratio(one.ratios.bare),
          ratio(one.ratios.row),
          Object.entries(one.ratios)
            .filter(([name]) => name !== 'bare' && name !== 'row')
            .map(([name, value]) => `${ratio(value)} ${name}`)
            .join(', ')
        ])
      ]
    )
  ]
  if (memory) {
    parts.push(
      table(
        [
          'start to ready',
          'resident after start',
          'after 10,000 requests',
          `after ${whole(memory.requests)}`,
          'at the end'
        ],
        [
          [
            `${whole(memory.startMs)} ms`,
            ...[memory.afterStart, memory.afterFirst, memory.afterLast, memory.atEnd].map((bytes) =>
              bytes === null ? '' : `${(bytes / 1e6).toFixed(1)} MB`
            )
          ]
        ]
      )
    )
  }
  parts.push(
    table(
      ['target', 'bound', 'figure', 'at design speed', ''],
      targets.map(({ what, is, bound, figure, atDesignSpeed, pass }) => [
        what,
        `${is} ${short(bound)}`,
        short(figure),
        atDesignSpeed === undefined ? '' : short(atDesignSpeed),
        pass ? 'pass' : '**fail**'
      ])
    )
  )
  return parts.join('\n\n')
}

const figuresOf = (one: Figures) => [
  whole(one.perSecond),
  one.p50.toFixed(2),
  one.p99.toFixed(2),
  ...[one.nodeCpu, one.postgresCpu].map((micros) => (micros === null ? '' : whole(micros)))
]
const whole = (value: number) => Math.round(value).toLocaleString('en')
const ratio = (value: number | undefined) => (value === undefined ? '' : value.toFixed(2))
const short = (value: number) => (value >= 100 ? whole(value) : value.toFixed(2))
const empty = (count: number) => new Array<string>(count).fill('')

function table(head: string[], rows: (string | number)[][]): string {
  const cells = [head, ...rows.map((row) => row.map(String))]
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const line = (row: string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [line(cells[0]!), rule, ...cells.slice(1).map(line)].join('\n')
}
