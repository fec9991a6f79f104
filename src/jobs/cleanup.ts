import fp from 'fastify-plugin'
import { deleteExpired } from './cleanup-repository.ts'
import { runPeriodically } from './periodic.ts'

const EVERY_MS = 10 * 60_000

/** Deletes expired sessions, sign-in failures, idempotency keys and counts. Safe to run on all replicas. */
export const cleanup = fp(
  async (app) => {
    const { db, config } = app.services
    runPeriodically(app, { everyMs: EVERY_MS, failure: 'cleanup failed' }, (signal) =>
      deleteExpired(db, config.sessionIdleMinutes, signal)
    )
  },
  { name: 'cleanup', fastify: '5.x', dependencies: ['services'] }
)
