import fp from 'fastify-plugin'
import { cached, gaugeOf } from '../http/metrics.ts'
import { runPeriodically } from '../jobs/periodic.ts'
import { sealEvents } from './chain.ts'
import { countUnsealed, findSealingLag } from './chain-repository.ts'

const INTERVAL_MS = 2_000
/** Bounds the cost of a scrape. */
const MAX_COUNTED = 10_000

/** Seals new events while the service runs, and measures how many are unsealed and for how long. */
export const auditSealing = fp(
  async (app) => {
    const { db } = app.services
    runPeriodically(app, { everyMs: INTERVAL_MS, failure: 'audit events were not sealed' }, (signal) =>
      sealEvents(db, signal)
    )
    const unsealed = cached(() => countUnsealed(db, MAX_COUNTED))
    gaugeOf(
      app.metrics.registry,
      {
        name: 'latchkey_audit_events_unsealed',
        help: `Audit events that have no place in the chain yet, counted up to ${MAX_COUNTED}`
      },
      async () => [{ value: await unsealed() }]
    )
    const lag = cached(() => findSealingLag(db, MAX_COUNTED))
    gaugeOf(
      app.metrics.registry,
      {
        name: 'latchkey_audit_oldest_unsealed_seconds',
        help: 'For how long the oldest event without a place in the chain could have had one; 0 if all have'
      },
      async () => [{ value: await lag() }]
    )
  },
  { name: 'audit-sealing', fastify: '5.x', dependencies: ['services', 'metrics'] }
)
