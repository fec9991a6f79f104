import { setTimeout as sleep } from 'node:timers/promises'
import { mixedLoad } from './cases.ts'
import { residentOf } from './cpu.ts'
import { median } from './measure.ts'
import type { World } from './world.ts'

/** Resident bytes of the service; null where there is no /proc. */
export interface Memory {
  startMs: number
  /** How many requests the last figure is after. */
  requests: number
  afterStart: number | null
  /** After so many requests that everything has been compiled and filled, and after ten times as many. */
  afterFirst: number | null
  afterLast: number | null
  atEnd: number | null
}

const STARTS = 3
const CONNECTIONS = 16
/** On a slow machine there are fewer requests. */
const LONGEST_MS = 5 * 60_000

/** Starts the service anew a few times, and gives one of them the requests, nine tenths of them reads. */
export async function measureMemory(
  world: World,
  requests: { first: number; last: number }
): Promise<Memory> {
  const starts: number[] = []
  for (let i = 0; i < STARTS; i++) {
    await world.restart()
    starts.push(world.service.startMs)
  }
  await sleep(500)
  const afterStart = await resident(world)
  let sent = await send(world, requests.first)
  const afterFirst = await resident(world)
  sent += await send(world, requests.last - sent)
  const afterLast = await resident(world)
  return { startMs: median(starts), requests: sent, afterStart, afterFirst, afterLast, atEnd: null }
}

export function resident(world: World): Promise<number | null> {
  return residentOf(world.service.pid)
}

async function send(world: World, requests: number): Promise<number> {
  const load = mixedLoad(world.service.origin, world.seeded, world.callers)
  let sent = 0
  for (const deadline = Date.now() + LONGEST_MS; sent < requests && Date.now() < deadline; ) {
    const window = await world.generator.run(load, CONNECTIONS, 1, world.signal)
    if (window.errors > 0) throw new Error(`${window.errors} errors among ${window.requests} mixed requests`)
    sent += window.requests
  }
  await world.postgres.settle()
  return sent
}
