import type { Static } from '@sinclair/typebox'
import type { EventRow } from './list-repository.ts'
import type * as schema from './schema.ts'

export function toEvent(row: EventRow): Static<typeof schema.AuditEvent> {
  return {
    id: row.id,
    occurredAt: row.occurred_at.toISOString(),
    action: row.action,
    outcome: row.outcome,
    actor: { type: row.actor_type, id: row.actor_id, name: row.actor_name },
    target: { type: row.target_type, id: row.target_id, name: row.target_name },
    projectId: row.project_id,
    ip: row.ip,
    userAgent: row.user_agent,
    requestId: row.request_id,
    count: row.count,
    details: row.details ?? {}
  }
}
