// Benchmarks the service against simple reference routes, or against another checkout of this project.
// docs/explanation/performance.md describes how to run it and how to read the results.
import { checkBaseline, writeBaseline } from './baseline.ts'
import { compare, measureAlone, type Target } from './measure.ts'
import { measureMemory } from './memory.ts'
import { readOptions } from './options.ts'
import { line, machine, type ReferenceRow, type Results, type Row, tables, writeResults } from './report.ts'
import { REFERENCES, ROUTES, type Route } from './routes.ts'
import { type World, withWorld } from './world.ts'

const MAX_MS = 100 * 60_000
const MEMORY_REQUESTS = 100_000

const tell = (text: string) => process.stdout.write(`${text}\n`)

async function measureMemories(world: World): Promise<Results['memory']> {
  const { options, dataset, service, other, signal } = world
  const memory: Results['memory'] = {}
  if (!options.memory) return memory
  const [route] = ROUTES as [Route]
  for (const side of options.against ? [service, other] : [service]) {
    tell(`${MEMORY_REQUESTS} requests to measure the memory of ${side.name}`)
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

/** Runs the measurements that the options select. */
async function measure(world: World): Promise<Results> {
  const memory = await measureMemories(world)
  const references = await measureReferences(world)
  const rows: Row[] = []
  for (const route of world.options.routes) rows.push(...(await measureRoute(world, route)))
  return { rows, references, memory }
}

async function report(world: World): Promise<void> {
  const before = machine(world.postgres.version)
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
  tell('\nWritten to docs/explanation/performance.md')
}

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => interrupted.abort(new Error(`interrupted by ${name}`)))
}
try {
  const signal = AbortSignal.any([interrupted.signal, AbortSignal.timeout(MAX_MS)])
  await withWorld(readOptions(), { signal, tell }, report)
} catch (error) {
  const { signal } = interrupted
  process.stderr.write(`bench: ${((signal.aborted ? signal.reason : error) as Error).message}\n`)
  process.exitCode = 1
}
