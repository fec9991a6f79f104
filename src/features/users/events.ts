import type { AuditEvent } from '../../audit/record.ts'

export function userEvent(
  action: string,
  { id, name }: { id: string; name: string },
  details: NonNullable<AuditEvent['details']> = {}
): AuditEvent {
  return { action, target: { type: 'user', id, name }, details }
}
