import type { Measured } from './measure.ts'
import type { Memory } from './memory.ts'

export interface Target {
  what: string
  /** In the unit that `bound` is in. */
  figure: number
  bound: number
  is: 'at least' | 'at most'
  pass: boolean
  /** Of a floor: the figure on a machine as fast as the one of the design's measurements. */
  atDesignSpeed?: number
}

/** What a bare route reached on the machine where the design was measured. */
const DESIGN_BARE = 34_500
const LOADED = [16, 64]
const MIB = 1024 * 1024

/** Of its reference's requests. */
const RATIOS: [name: string, against: string, bound: number][] = [
  ['get', 'joined', 0.8],
  ['list', 'joined', 0.45],
  ['resolve', 'insert', 0.7],
  ['create', 'insert', 0.5],
  ['list of 100,000', 'list', 0.9],
  ['search in 100,000', 'search', 0.2]
]
const TAIL = { connections: 64, bound: 5 }
/** Requests a second at the best number of connections: twenty times what comparable systems reach. */
const FLOORS: [name: string, bound: number][] = [
  ['get', 7_160],
  ['list of 100,000', 7_580],
  ['reveal', 5_200],
  ['create', 3_240],
  ['search in 100,000', 480]
]
const GROWTH_MIB = 20
const RESIDENT_MB = 120
const START_MS = 2_000

/** Each target that something was measured of. */
export function judge(routes: readonly Measured[], memory: Memory | undefined): Target[] {
  const at = (name: string, connections: number) =>
    routes.find((route) => route.name === name && route.connections === connections)
  const ratios = RATIOS.flatMap(([name, against, bound]) =>
    LOADED.flatMap((connections) => {
      const ratio = at(name, connections)?.ratios[against]
      return ratio === undefined
        ? []
        : [atLeast(`${name} of ${against}, at ${connections} connections`, ratio, bound)]
    })
  )
  const tails = routes
    .filter((route) => route.connections === TAIL.connections)
    .map(({ name, p50, p99 }) => atMost(`p99 of p50 of ${name}, at 64 connections`, p99 / p50, TAIL.bound))
  const floors = FLOORS.flatMap(([name, bound]) => {
    const [best] = routes.filter((route) => route.name === name).sort((a, b) => b.perSecond - a.perSecond)
    if (!best) return []
    const floor = atLeast(`${name}, requests/s`, best.perSecond, bound)
    const { bare } = best.ratios
    return [bare === undefined ? floor : { ...floor, atDesignSpeed: bare * DESIGN_BARE }]
  })
  return [...ratios, ...tails, ...floors, ...(memory ? ofProcess(memory) : [])]
}

function ofProcess({ startMs, requests, afterFirst, afterLast, atEnd }: Memory): Target[] {
  const targets = [atMost('start to ready, ms', startMs, START_MS)]
  if (afterFirst !== null && afterLast !== null) {
    const over = `${Math.round(requests / 1000)},000 requests`
    targets.push(atMost(`growth over ${over}, MiB`, (afterLast - afterFirst) / MIB, GROWTH_MIB))
    targets.push(atMost(`resident after ${over}, MB`, afterLast / 1e6, RESIDENT_MB))
  }
  if (atEnd !== null) targets.push(atMost('resident at the end of everything, MB', atEnd / 1e6, RESIDENT_MB))
  return targets
}

const atLeast = (what: string, figure: number, bound: number): Target => ({
  what,
  figure,
  bound,
  is: 'at least',
  pass: figure >= bound
})

const atMost = (what: string, figure: number, bound: number): Target => ({
  what,
  figure,
  bound,
  is: 'at most',
  pass: figure <= bound
})
