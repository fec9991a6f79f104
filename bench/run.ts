// Measures the service with many callers, beside simple reference routes or beside another checkout of this
// project. docs/performance.md says how to run it and how to read it.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkBaseline, writeBaseline } from './baseline.ts'
import { prepareTemplate } from './dataset.ts'
import { compare, measureAlone, type Target } from './measure.ts'
import { measureMemory } from './memory.ts'
import { type Options, readOptions } from './options.ts'
import { openPostgres, type Postgres, TEMPLATE } from './postgres.ts'
import { line, machine, type ReferenceRow, type Results, type Row, tables, writeResults } from './report.ts'
import { REFERENCES, ROUTES, type Route } from './routes.ts'
import type { Dataset } from './seed.ts'
import { openReference, openService, type Side } from './side.ts'

const LONGEST_MS = 100 * 60_000
const MEMORY_REQUESTS = 100_000
const root = join(import.meta.dirname, '..')

const tell = (text: string) => process.stdout.write(`${text}\n`)

interface World {
  options: Options
  dataset: Dataset
  service: Side
  /** The service of the other checkout, or the reference routes. */
  other: Side
  signal: AbortSignal
}

async function measureMemories(world: World): Promise<Results['memory']> {
  const { options, dataset, service, other, signal } = world
  const memory: Results['memory'] = {}
  if (!options.memory) return memory
  const [route] = ROUTES as [Route]
  for (const side of options.against ? [service, other] : [service]) {
    tell(`${MEMORY_REQUESTS} requests for the memory of ${side.name}`)
    memory[side.name] = await measureMemory(side, dataset, { route, count: MEMORY_REQUESTS, signal })
  }
  return memory
}

async function measureReferences(world: World): Promise<ReferenceRow[]> {
  const { options, dataset, other: side, signal } = world
  const rows: ReferenceRow[] = []
  if (!options.references) return rows
  for (const [route, request] of Object.entries(REFERENCES)) {
    for (const connections of options.connections) {
      const setting = { dataset, route, draw: 'uniform', connections, signal } as const
      const figures = await measureAlone({ side, request }, options.plan, setting)
      rows.push({ route, draw: 'uniform', connections, figures })
      tell(`${route}, ${connections} connections: ${Math.round(figures.perSecond)}/s`)
    }
  }
  return rows
}

async function measureRoute(world: World, route: Route): Promise<Row[]> {
  const { options, dataset, service, other, signal } = world
  const { against, plan, draws } = options
  const most = route.mostConnections ?? Number.POSITIVE_INFINITY
  const rows: Row[] = []
  const targets: [Target, Target] = [
    { side: service, request: route.request },
    { side: other, request: against ? route.request : REFERENCES[route.reference] }
  ]
  for (const draw of draws) {
    for (const connections of options.connections.filter((count) => count <= most)) {
      const setting = { dataset, route: route.name, draw, connections, signal }
      const comparison = await compare(...targets, plan, {
        ...setting,
        sameRequests: against !== undefined,
        isWarm: rows.length > 0
      })
      const name = against ? other.name : route.reference
      const row: Row = { ...comparison, route: route.name, with: name, draw, connections }
      rows.push(row)
      tell(line(row))
    }
  }
  return rows
}

/** Measures all that the options ask for. */
async function measure(world: World): Promise<Results> {
  const memory = await measureMemories(world)
  const references = await measureReferences(world)
  const rows: Row[] = []
  for (const route of world.options.routes) rows.push(...(await measureRoute(world, route)))
  return { rows, references, memory }
}

async function report(world: World, postgres: Postgres): Promise<void> {
  const before = machine(postgres.version)
  tell(before)
  const results = await measure(world)
  const { against, check, complete } = world.options
  if (check) {
    if (world.options.writeBaseline) return writeBaseline(results.rows)
    for (const { text, holds } of await checkBaseline(results.rows)) {
      if (!holds) process.exitCode = 1
      tell(text)
    }
    return
  }
  const text = `${before}.\n\n${tables(results, against !== undefined)}`
  tell(`\n${text}`)
  if (against || !complete) return
  await writeResults(text)
  tell('\nWritten to docs/performance.md')
}

/**
 * Prepares the server, the data and both sides, calls `work`, and takes everything down whatever happened.
 */
async function withWorld(
  options: Options,
  signal: AbortSignal,
  work: (world: World, postgres: Postgres) => Promise<void>
): Promise<void> {
  const closing: (() => Promise<unknown>)[] = []
  try {
    const directory = options.data ?? (await mkdtemp(join(tmpdir(), 'latchkey-bench-')))
    if (options.data) await mkdir(directory, { recursive: true })
    else closing.push(() => rm(directory, { recursive: true, force: true }))
    const postgres = await openPostgres(process.env.BENCH_DATABASE_URL, directory)
    closing.push(postgres.close)
    const { against, sizes } = options
    const seeding = { directory, checkout: against ?? root, sizes }
    const { rootKeys, dataset } = await prepareTemplate(postgres, seeding, signal, tell)
    if (!options.data) closing.push(() => postgres.drop(TEMPLATE))
    const service = await openService('this', root, rootKeys, postgres, signal)
    closing.push(service.close)
    const other = against
      ? await openService('other', against, rootKeys, postgres, signal)
      : await openReference(postgres, signal)
    closing.push(other.close)
    await work({ options, dataset, service, other, signal }, postgres)
  } finally {
    for (const close of closing.reverse()) await close()
  }
}

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => interrupted.abort(new Error(`interrupted by ${name}`)))
}
try {
  const signal = AbortSignal.any([interrupted.signal, AbortSignal.timeout(LONGEST_MS)])
  await withWorld(readOptions(), signal, report)
} catch (error) {
  const { signal } = interrupted
  process.stderr.write(`bench: ${((signal.aborted ? signal.reason : error) as Error).message}\n`)
  process.exitCode = 1
}
