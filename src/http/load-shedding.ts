import underPressure from '@fastify/under-pressure'
import fp from 'fastify-plugin'
import { Unavailable } from './problems.ts'

/** The lag of the event loop, in milliseconds, above which requests are rejected. */
const MAX_LAG_MS = 1_000
/** The lag is averaged over this time, so that one long turn rejects nothing. */
const SAMPLE_MS = 3_000

/**
 * Responds with 503 while the event loop lags by more than a second, so that clients can try another replica.
 * The liveness probe is not rejected, because a restart would not help. The first requests are not rejected
 * because of the start itself, which blocks the event loop for seconds on a slow CPU.
 */
export const loadShedding = fp(
  async (app) => {
    let from = Number.POSITIVE_INFINITY
    app.addHook('onListen', async () => {
      // The sample in progress began before.
      from = performance.now() + 2 * SAMPLE_MS
    })
    await app.register(underPressure, {
      maxEventLoopDelay: MAX_LAG_MS,
      sampleInterval: SAMPLE_MS,
      async pressureHandler(request) {
        if (request.routeOptions.url === '/livez' || performance.now() < from) return
        app.metrics.shedRequests.inc()
        throw new Unavailable({ detail: 'The service is busy; try again.', retryAfter: 2 })
      }
    })
  },
  { name: 'load-shedding', fastify: '5.x', dependencies: ['metrics'] }
)
