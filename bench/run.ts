// Measures the service against routes that do less, on this machine and in one sitting. docs/performance.md says how.
import { parseArgs } from 'node:util'
import { fail, requireNode, print as tell } from '../src/terminal.ts'
import { compare, ownRatio, readBaseline, writeBaseline } from './baseline.ts'
import type { ReferenceName } from './cases.ts'
import { type Measured, measureCase, measureReference, type Plan, warmUp } from './measure.ts'
import { measureMemory, resident } from './memory.ts'
import { pgbench } from './pgbench.ts'
import { machineOf, type Results, tablesOf, writeResults } from './report.ts'
import { judge } from './targets.ts'
import { inWorld, type World } from './world.ts'

requireNode(24)

const LONGEST_MS = 45 * 60_000
const REFERENCES: ReferenceName[] = ['bare', 'row', 'joined', 'insert']
const FULL: Plan = { rounds: 3, seconds: 1, connections: [1, 16, 64], always: ['bare', 'row'] }
const QUICK: Plan = { rounds: 1, seconds: 1, connections: [16, 64], always: ['bare', 'row'] }
const CHECK: Plan = { rounds: 5, seconds: 1, connections: [16], always: [] }
const CHECKED = ['get', 'list', 'resolve', 'create', 'reveal']
const SIZES = { small: 1_000, large: 100_000 }
/** None of the checked routes depends on it. */
const CHECK_SIZES = { small: 1_000, large: 5_000 }
const MIXED = { first: 10_000, last: 100_000 }

const options = readOptions()

function readOptions() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        check: { type: 'boolean', default: false },
        'write-baseline': { type: 'boolean', default: false }
      }
    }).values
  } catch (error) {
    fail((error as Error).message)
  }
}

/** Everything, or the cases that `--only` names, in full or quickly; results of anything less than all are not kept. */
async function measure(world: World): Promise<void> {
  const plan = options.quick ? QUICK : FULL
  // Not at the comma of 100,000.
  const only = options.only?.split(/,(?!\d)/).map((name) => name.trim())
  const cases = world.cases().filter(({ name }) => !only || only.includes(name))
  if (only && cases.length < only.length) {
    throw new Error(
      `--only takes some of: ${world
        .cases()
        .map(({ name }) => name)
        .join(', ')}`
    )
  }
  await warmUp(world)
  const memory = only ? undefined : await measureMemory(world, MIXED)
  const references: Measured[] = []
  for (const name of REFERENCES) references.push(...(await measureReference(world, name, plan)))
  const selects = await pgbench(world, plan)
  const routes: Measured[] = []
  for (const { name } of cases) {
    // Looked up anew: the service has another address after each start.
    const one = world.cases().find((other) => other.name === name)!
    const measured = await measureCase(world, one, plan)
    routes.push(...measured)
    tell(`${name}: ${measured.map((at) => `${Math.round(at.perSecond)}/s at ${at.connections}`).join(', ')}`)
  }
  if (memory) memory.atEnd = await resident(world)
  const results: Results = {
    date: new Date().toISOString(),
    machine: machineOf(world),
    plan,
    references,
    pgbench: selects,
    routes,
    memory,
    targets: judge(routes, memory)
  }
  tell(`\n${tablesOf(results)}`)
  if (only || options.quick) return
  await writeResults(results)
  tell('\nWritten to bench/results.json and docs/performance.md')
}

/** Fails the process when a ratio is lower than the baseline lets it be. */
async function check(world: World): Promise<void> {
  await warmUp(world)
  const measured: Measured[] = []
  for (const one of world.cases().filter(({ name }) => CHECKED.includes(name))) {
    measured.push(...(await measureCase(world, one, CHECK)))
  }
  const ratios = measured.map(ownRatio)
  if (options['write-baseline']) {
    for (const { name, ratio } of ratios) tell(`${name}: ${ratio.toFixed(3)}`)
    return writeBaseline(CHECK.connections[0]!, ratios)
  }
  for (const { name, ratio, known, least, holds } of compare(await readBaseline(), ratios)) {
    if (!holds) process.exitCode = 1
    tell(
      `${name}: ${ratio.toFixed(3)} of its reference, ${known} in the baseline, ${least.toFixed(3)} at least: ${holds ? 'holds' : 'SLOWER'}`
    )
  }
}

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => interrupted.abort(new Error(`interrupted by ${name}`)))
}
const checking = options.check || options['write-baseline']
try {
  await inWorld(
    {
      databaseUrl: process.env.BENCH_DATABASE_URL,
      sizes: checking ? CHECK_SIZES : SIZES,
      signal: AbortSignal.any([interrupted.signal, AbortSignal.timeout(LONGEST_MS)]),
      tell
    },
    checking ? check : measure
  )
} catch (error) {
  fail(interrupted.signal.aborted ? (interrupted.signal.reason as Error).message : (error as Error).message)
}
