import fp from 'fastify-plugin'
import { runPeriodically } from '../jobs/periodic.ts'
import { sealBatch } from './chain.ts'

const EVERY_MS = 2_000

/** Seals new events into the chain while the service runs. */
export const auditSealing = fp(
  async (app) => {
    const { db } = app.services
    runPeriodically(app, { everyMs: EVERY_MS, failure: 'audit events were not sealed' }, async (signal) => {
      while (!signal.aborted && (await sealBatch(db)) > 0) {}
    })
  },
  { name: 'audit-sealing', fastify: '5.x', dependencies: ['services'] }
)
