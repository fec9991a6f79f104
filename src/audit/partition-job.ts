import fp from 'fastify-plugin'
import { cached, gaugeOf } from '../http/metrics.ts'
import { runPeriodically } from '../jobs/periodic.ts'
import { extendPartitions, findOldestAge, findPartitionsAhead } from './partition-repository.ts'

const EVERY_MS = 10 * 60_000
/** The most days of a partition: those that are kept for ever are few. */
const MAX_DAYS = 30
/** Into how many partitions the days that are kept are divided. */
const PARTITIONS = 12

/** The days of a partition. */
export function partitionDays(keepDays: number | undefined): number {
  return keepDays === undefined ? MAX_DAYS : Math.min(MAX_DAYS, Math.ceil(keepDays / PARTITIONS))
}

/** Makes partitions of the audit log ahead of the time, and measures how far they and the events go. */
export const auditPartitions = fp(
  async (app) => {
    const { db, config } = app.services
    const days = partitionDays(config.auditKeepDays)
    runPeriodically(
      app,
      { everyMs: EVERY_MS, failure: 'partitions of the audit log were not made ahead' },
      () => extendPartitions(db, days)
    )
    const ahead = cached(() => findPartitionsAhead(db))
    gaugeOf(
      app.metrics.registry,
      {
        name: 'latchkey_audit_partitions_ahead_seconds',
        help: 'In how many seconds the last partition of the audit log begins; below 0: it has begun'
      },
      async () => [{ value: await ahead() }]
    )
    const oldest = cached(() => findOldestAge(db))
    gaugeOf(
      app.metrics.registry,
      { name: 'latchkey_audit_oldest_event_seconds', help: 'Age of the oldest audit event in the database' },
      async () => [{ value: await oldest() }]
    )
  },
  { name: 'audit-partitions', fastify: '5.x', dependencies: ['services', 'metrics'] }
)
