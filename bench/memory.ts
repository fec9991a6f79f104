import { setTimeout as sleep } from 'node:timers/promises'
import { residentOf } from './cpu.ts'
import { type Request, send } from './load.ts'
import { drawRequests, type Route } from './routes.ts'
import type { Dataset } from './seed.ts'
import type { Side } from './side.ts'

/** Resident memory in bytes of a restarted service; null without /proc. */
export interface Memory {
  startMs: number
  afterStart: number | null
  requests: number
  afterRequests: number | null
}

const CONNECTIONS = 16
const BATCH = 2_000
const REST_MS = 1_000

/** Restarts the service and sends `count` requests of the route. */
export async function measureMemory(
  side: Side,
  dataset: Dataset,
  { route, count, signal }: { route: Route; count: number; signal: AbortSignal }
): Promise<Memory> {
  await side.restart()
  await sleep(REST_MS)
  const afterStart = await residentOf(side.server.pid)
  for (let sent = 0; sent < count; sent += BATCH) {
    const seed = `memory ${sent}`
    const requests = drawRequests(dataset, route.request, { draw: 'uniform', seed, count: BATCH })
    const undo: Request[] = []
    await send(side.server.origin, requests, {
      connections: CONNECTIONS,
      signal,
      onAnswer: (answer, request) => {
        if (request.undo) undo.push(request.undo(answer))
      }
    })
    await send(side.server.origin, undo, { connections: CONNECTIONS, signal })
  }
  await side.settle()
  const afterRequests = await residentOf(side.server.pid)
  return { startMs: side.server.startMs, afterStart, requests: count, afterRequests }
}
