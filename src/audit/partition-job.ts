import fp from 'fastify-plugin'
import { cached, gaugeOf } from '../http/metrics.ts'
import { runPeriodically } from '../jobs/periodic.ts'
import { extendPartitions, findArchiveLag, findPartitionsAhead } from './partition-repository.ts'

const EVERY_MS = 10 * 60_000
/** The maximum number of days in a partition, so that events that are kept forever have few partitions. */
const MAX_DAYS = 30
/** The number of partitions for the days that are kept. */
const PARTITIONS = 12

/** The days of a partition. */
export function partitionDays(keepDays: number | undefined): number {
  return keepDays === undefined ? MAX_DAYS : Math.min(MAX_DAYS, Math.ceil(keepDays / PARTITIONS))
}

/**
 * Creates partitions of the audit log in advance, and measures how far the partitions and the archive reach.
 */
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
    const { auditKeepDays: keepDays } = config
    const lag = cached(async () => (keepDays === undefined ? 0 : findArchiveLag(db, keepDays)))
    gaugeOf(
      app.metrics.registry,
      {
        name: 'latchkey_audit_archive_lag_seconds',
        help: 'For how long events older than LATCHKEY_AUDIT_KEEP_DAYS wait for "audit archive"; 0 if none do'
      },
      async () => [{ value: await lag() }]
    )
  },
  { name: 'audit-partitions', fastify: '5.x', dependencies: ['services', 'metrics'] }
)
