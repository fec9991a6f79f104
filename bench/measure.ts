import { type Request, send } from './load.ts'
import { type DrawName, drawRequests } from './routes.ts'
import type { Dataset } from './seed.ts'
import type { Side } from './side.ts'
import { median, quantile, type Ratio, ratioOf } from './statistics.ts'

export interface Plan {
  /** A round has four windows, in an order that cancels out a gradual change of the machine's speed. */
  rounds: number
  /** The approximate duration of a window, which has a fixed number of requests. */
  seconds: number
  /** The limits per side: the one that is reached first counts. Shorter if `isWarm`. */
  warmUp: { requests: number; seconds: number }
}

export interface Target {
  side: Side
  request: Parameters<typeof drawRequests>[1]
}

export interface Figures {
  requests: number
  perSecond: number
  /** Latencies in milliseconds. */
  p50: number
  p99: number
  /** CPU time per request in microseconds; null without /proc. */
  nodeCpu: number | null
  postgresCpu: number | null
}

export interface Comparison {
  a: Figures
  b: Figures
  /** Requests per second of `a` divided by those of `b`. */
  ratio: Ratio
}

export interface Setting {
  dataset: Dataset
  route: string
  draw: DrawName
  connections: number
  /** Both sides get the same requests. Otherwise each gets as many as fit the window. */
  sameRequests?: boolean
  /** The route has been measured before, so its code is compiled. */
  isWarm?: boolean
  signal: AbortSignal
}

/** The side of each window in a round: ABBA, then BAAB. */
const ORDERS = [
  [0, 1, 1, 0],
  [1, 0, 0, 1]
] as const
const REPEATED_WARM_UP_SECONDS = 1
const MIN_PER_CONNECTION = 4
/** Slow routes get fewer rounds, but at least MIN_ROUNDS. */
const MAX_MS = 60_000
const MIN_ROUNDS = 5
const MIN_REQUESTS = 32

/** Measures two targets alternately. At the end, undoes what the requests have created. */
export async function compare(a: Target, b: Target, plan: Plan, setting: Setting): Promise<Comparison> {
  const sides = [new Measured(a, setting), new Measured(b, setting)] as const
  await warmUp(sides, plan, setting)
  const { sameRequests } = setting
  const [countA, countB] = sides.map(({ rate }) => countOf(rate * plan.seconds, setting)) as [number, number]
  const counts = sameRequests ? new Array<number>(2).fill(Math.min(countA, countB)) : [countA, countB]
  for (const side of sides) await side.begin()
  const ratios: number[] = []
  const until = performance.now() + MAX_MS
  for (let round = 0; round < plan.rounds; round++) {
    if (round >= MIN_ROUNDS && performance.now() > until) break
    const rates: [number[], number[]] = [[], []]
    for (const [turn, at] of ORDERS[round % 2]!.entries()) {
      // The first two windows send the same requests, and so do the last two.
      const seed = `${round}.${turn >> 1}`
      rates[at].push(await sides[at]!.window(seed, counts[at]!))
    }
    const [ofA, ofB] = rates.map((two) => Math.sqrt(two[0]! * two[1]!)) as [number, number]
    ratios.push(ofA / ofB)
  }
  const [ofA, ofB] = [await sides[0].end(), await sides[1].end()]
  return { a: ofA, b: ofB, ratio: ratioOf(ratios) }
}

/** Measures one target. */
export async function measureAlone(target: Target, plan: Plan, setting: Setting): Promise<Figures> {
  const side = new Measured(target, setting)
  await warmUp([side], plan, setting)
  await side.begin()
  const count = countOf(side.rate * plan.seconds, setting)
  for (let round = 0; round < plan.rounds; round++) await side.window(String(round), count)
  return side.end()
}

/** Alternates: a side that is idle for long loses its connections, and their prepared statements. */
async function warmUp(sides: readonly Measured[], plan: Plan, { isWarm }: Setting): Promise<void> {
  const { requests, seconds } = plan.warmUp
  const until = performance.now() + sides.length * (isWarm ? REPEATED_WARM_UP_SECONDS : seconds) * 1_000
  const isMissing = (side: Measured) => side.warmUpRequests < requests
  for (let turn = 0; turn < 2 || (performance.now() < until && sides.some(isMissing)); turn++) {
    for (const side of sides) await side.warmUp(turn, plan.seconds)
  }
  for (const side of sides) await side.settle()
}

function countOf(wanted: number, { connections }: Setting): number {
  return Math.max(MIN_REQUESTS, MIN_PER_CONNECTION * connections, Math.round(wanted))
}

/** A side and its measurements. */
class Measured {
  /** Requests per second at the end of the warm-up. */
  rate = 0
  warmUpRequests = 0
  readonly #target: Target
  readonly #setting: Setting
  readonly #undo: Request[] = []
  readonly #rates: number[] = []
  readonly #latencies: number[] = []
  #before: { node: number | null; postgres: number | null } = { node: null, postgres: null }

  constructor(target: Target, setting: Setting) {
    this.#target = target
    this.#setting = setting
  }

  async warmUp(turn: number, seconds: number): Promise<void> {
    const count = countOf(Math.min(this.rate * seconds, 10_000), this.#setting)
    const sent = await this.#send(`warm-up ${turn}`, count, true)
    this.rate = count / sent.seconds
    this.warmUpRequests += count
  }

  settle(): Promise<void> {
    return this.#target.side.settle()
  }

  async begin(): Promise<void> {
    this.#before = await this.#target.side.cpu()
  }

  async window(seed: string, count: number): Promise<number> {
    const { seconds, latencies } = await this.#send(seed, count, false)
    const rate = count / seconds
    this.#rates.push(rate)
    this.#latencies.push(...latencies)
    // Sampled here because database connections may end.
    await this.#target.side.cpu()
    return rate
  }

  async end(): Promise<Figures> {
    const { side } = this.#target
    // Sealing audit events is part of the cost of a request.
    await side.settle()
    const after = await side.cpu()
    const requests = this.#latencies.length
    const each = (before: number | null, then: number | null) =>
      before === null || then === null ? null : (then - before) / requests
    const { signal } = this.#setting
    await send(side.server.origin, this.#undo, { connections: 16, signal })
    await side.settle()
    return {
      requests,
      perSecond: median(this.#rates),
      p50: quantile(this.#latencies, 0.5),
      p99: quantile(this.#latencies, 0.99),
      nodeCpu: each(this.#before.node, after.node),
      postgresCpu: each(this.#before.postgres, after.postgres)
    }
  }

  #send(seed: string, count: number, readBodies: boolean) {
    const { dataset, route, draw, connections, signal } = this.#setting
    const requests = drawRequests(dataset, this.#target.request, {
      draw,
      seed: `${route} ${draw} ${connections} ${seed}`,
      count
    })
    return send(this.#target.side.server.origin, requests, {
      connections,
      signal,
      readBodies,
      onAnswer: (answer, { undo }) => {
        if (undo) this.#undo.push(undo(answer))
      }
    })
  }
}
