import type { Registry } from 'prom-client'
import type { Database } from '../db/database.ts'
import { cached, gaugeOf } from '../http/metrics.ts'
import { countUnsealed } from './repository.ts'

/** Past this many, a scrape does not count on. */
const COUNTED = 10_000

/** How far the audit chain is behind its events; growing without end means that nobody seals. */
export function measureAudit(registry: Registry, db: Database): void {
  const unsealed = cached(() => countUnsealed(db, COUNTED))
  gaugeOf(
    registry,
    {
      name: 'latchkey_audit_events_unsealed',
      help: `Audit events that have no place in the chain yet, counted up to ${COUNTED}`
    },
    async () => [{ value: await unsealed() }]
  )
}
