import fp from 'fastify-plugin'
import { runPeriodically } from '../../jobs/periodic.ts'

/** By how much a replica lags behind a rotation, at the most, give or take a fifth; requests that meet a new key do not wait for it. */
const EVERY_MS = 5_000

/** Has the keyring learn of new and destroyed data keys while the service runs. */
export const keyRefreshJob = fp(
  async (app) => {
    const { keyring } = app.services
    runPeriodically(app, { everyMs: EVERY_MS, failure: 'the data keys were not refreshed' }, async () => {
      try {
        await keyring.refresh()
      } catch (error) {
        app.metrics.keyringRefreshFailures.inc()
        throw error
      }
    })
  },
  { name: 'key-refreshing', fastify: '5.x', dependencies: ['services', 'metrics'] }
)
