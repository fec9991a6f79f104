export interface AuditEvent {
  action: string
  outcome: string
  actor: { type: string; id: string | null; name: string | null }
  target: { type: string | null; id: string | null; name: string | null }
  projectId: string | null
  requestId: string | null
  count: number
  details: Record<string, unknown>
}

/**
 * Merges repeated denials into one event. The service counts them per minute of the clock, so a run that
 * crosses a minute has two events where another run has one.
 */
export function foldEvents<Event extends AuditEvent>(newestFirst: readonly Event[]): Event[] {
  const first = new Map<string, Event>()
  const folded: Event[] = []
  for (const event of newestFirst.toReversed()) {
    const { action, outcome, actor, target, details } = event
    const key = JSON.stringify([action, actor.type, actor.id, target.id, details['code']])
    const before = outcome === 'denied' ? first.get(key) : undefined
    if (before) before.count += event.count
    else {
      first.set(key, event)
      folded.push(event)
    }
  }
  return folded.reverse()
}

/** Does the same in the text of a page of events. Other texts are not changed. */
export function foldDenials(text: string): string {
  if (!text.startsWith('{"data":[') || !text.includes('"outcome":')) return text
  const page = JSON.parse(text) as { data: AuditEvent[]; nextCursor: string | null }
  // Pages of other lists have a total.
  if ('total' in page) return text
  const data = foldEvents(page.data)
  return data.length === page.data.length ? text : JSON.stringify({ ...page, data })
}
