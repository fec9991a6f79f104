import type { Case, ReferenceName } from './cases.ts'
import { cpuOf, cpuOfFamily } from './cpu.ts'
import type { Answered, Load } from './load.ts'
import type { Server } from './server.ts'
import type { World } from './world.ts'

/** How long is measured. Each window of a route comes right after one of everything that it is compared with. */
export interface Plan {
  rounds: number
  /** Of one window. */
  seconds: number
  connections: readonly number[]
  /** References to compare everything with, besides its own. */
  always: readonly ReferenceName[]
}

export interface Figures extends Answered {
  perSecond: number
  /** Microseconds for each request; null where there is no /proc. */
  nodeCpu: number | null
  postgresCpu: number | null
}

export interface Measured extends Figures {
  name: string
  connections: number
  /** How many of the reference's requests one second of it is worth, by the reference's name. */
  ratios: Record<string, number>
  /** The lowest and the highest of the rounds' ratios. */
  spread: Record<string, [number, number]>
}

const WARM_UP_SECONDS = 1
/** Until V8 has compiled what a route runs: at first a resolve takes twice as long as after these many. */
const WARM = { requests: 25_000, seconds: 12 }
/** More than these many would wait for each other's hashes and for nothing else. */
const SLOW_CONNECTIONS = 16
const SLOW_WINDOW = 4

/** The case at each number of connections that it can have. */
export async function measureCase(world: World, one: Case, plan: Plan): Promise<Measured[]> {
  const measured: Measured[] = []
  let answered = 0
  for (let second = 0; second < WARM.seconds && answered < WARM.requests && !one.slow; second++) {
    answered += (await world.generator.run(one.load, SLOW_CONNECTIONS, 1, world.signal)).requests
  }
  for (const connections of plan.connections) {
    if (one.slow && connections > SLOW_CONNECTIONS) continue
    measured.push(await measureAt(world, one, connections, plan))
  }
  return measured
}

async function measureAt(world: World, one: Case, connections: number, plan: Plan): Promise<Measured> {
  const references = world.references()
  const rival = one.rival ? world.cases().find(({ name }) => name === one.rival) : undefined
  const names = new Set([...plan.always, ...(one.reference ? [one.reference] : [])])
  await world.generator.run(one.load, connections, WARM_UP_SECONDS, world.signal)
  await settle(world, one)
  const windows: Figures[] = []
  const ratios: Record<string, number[]> = {}
  for (let round = 0; round < plan.rounds; round++) {
    const others: Record<string, number> = {}
    for (const name of names) {
      const { perSecond } = await watch(world, world.reference, references[name], connections, plan.seconds)
      others[name] = perSecond
    }
    if (rival) {
      const { perSecond } = await watch(world, world.service, rival.load, connections, plan.seconds)
      others[rival.name] = perSecond
    }
    const seconds = plan.seconds * (one.slow ? SLOW_WINDOW : 1)
    const window = await watch(world, world.service, one.load, connections, seconds, () => settle(world, one))
    windows.push(window)
    for (const [name, perSecond] of Object.entries(others)) {
      ratios[name] = [...(ratios[name] ?? []), window.perSecond / perSecond]
    }
  }
  return {
    name: one.name,
    connections,
    ...middle(windows),
    // The machine's speed changes from one minute to the next and less so within a round, so each round gives a
    // ratio, and these are what the median is taken of.
    ratios: mapValues(ratios, median),
    spread: mapValues(ratios, (all) => [Math.min(...all), Math.max(...all)])
  }
}

const settle = async (world: World, one: Case) => {
  if (one.records) await world.postgres.settle()
}

/** Lets the references compile and connect, so that the first case is not compared with cold ones. */
export async function warmUp(world: World): Promise<void> {
  for (const load of Object.values(world.references())) {
    await world.generator.run(load, SLOW_CONNECTIONS, WARM_UP_SECONDS, world.signal)
  }
}

/** A reference by itself, at these connections. */
export async function measureReference(world: World, name: ReferenceName, plan: Plan): Promise<Measured[]> {
  const measured: Measured[] = []
  for (const connections of plan.connections) {
    const load = world.references()[name]
    await world.generator.run(load, connections, WARM_UP_SECONDS, world.signal)
    const windows: Figures[] = []
    for (let round = 0; round < plan.rounds; round++) {
      windows.push(await watch(world, world.reference, load, connections, plan.seconds))
    }
    measured.push({ name, connections, ...middle(windows), ratios: {}, spread: {} })
  }
  return measured
}

/** One window, with the CPU that it took; `after`: what belongs to it and is done later. Throws for any error. */
async function watch(
  world: World,
  server: Server,
  load: Load,
  connections: number,
  seconds: number,
  after: () => Promise<void> = async () => {}
): Promise<Figures> {
  const cpu = () => Promise.all([cpuOf(server.pid), cpuOfFamily(world.postgres.postmaster)])
  const [node, postgres] = await cpu()
  const answered = await world.generator.run(load, connections, seconds, world.signal)
  await after()
  const [nodeThen, postgresThen] = await cpu()
  if (answered.errors > 0) {
    const where = `${load.method} ${load.requests[0]!.path} at ${connections} connections`
    throw new Error(
      `${where}: ${answered.errors} errors among ${answered.requests} answers\n${server.output()}`
    )
  }
  if (answered.requests === 0) {
    throw new Error(`${load.method} ${load.requests[0]!.path}: not one answer in ${seconds} s`)
  }
  const each = (before: number | null, then: number | null) =>
    before === null || then === null ? null : (then - before) / answered.requests
  return {
    ...answered,
    perSecond: answered.requests / answered.seconds,
    nodeCpu: each(node, nodeThen),
    postgresCpu: each(postgres, postgresThen)
  }
}

/** The median of each figure. */
function middle(windows: readonly Figures[]): Figures {
  const of = (pick: (window: Figures) => number) => median(windows.map(pick))
  const ofKnown = (pick: (window: Figures) => number | null) => {
    const known = windows.map(pick).filter((value) => value !== null)
    return known.length > 0 ? median(known) : null
  }
  return {
    requests: windows.reduce((sum, window) => sum + window.requests, 0),
    seconds: windows.reduce((sum, window) => sum + window.seconds, 0),
    errors: 0,
    perSecond: of((window) => window.perSecond),
    p50: of((window) => window.p50),
    p99: of((window) => window.p99),
    nodeCpu: ofKnown((window) => window.nodeCpu),
    postgresCpu: ofKnown((window) => window.postgresCpu)
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length / 2
  return sorted.length % 2 ? sorted[Math.floor(half)]! : (sorted[half - 1]! + sorted[half]!) / 2
}

const mapValues = <A, B>(record: Record<string, A>, change: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]))
