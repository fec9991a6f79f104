import type { AuditEvent } from '../../audit/record.ts'

/** What happened to a data key. It has no id; its number is its name. */
export function keyEvent(
  action: 'created' | 'retired' | 'destroyed' | 'rewrapped',
  number: number,
  details: AuditEvent['details'] = {}
): AuditEvent {
  return {
    action: `data-key.${action}`,
    target: { type: 'data-key', id: null, name: String(number) },
    details: { number, ...details }
  }
}
