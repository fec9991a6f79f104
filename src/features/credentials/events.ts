import type { AuditEvent } from '../../audit/record.ts'
import type { LinkChanges } from './links.ts'

interface Credential {
  id: string
  name?: string
  owner_id: string
}

/** An event of one credential; its owner sees it, and so do admins of the project that it names. */
export function eventOf(
  action: string,
  { id, name, owner_id }: Credential,
  more: Pick<AuditEvent, 'projectId' | 'details'> = {}
): AuditEvent {
  return {
    action: `credential.${action}`,
    target: { type: 'credential', id, name: name ?? null },
    ownerId: owner_id,
    ...more
  }
}

/** One event for each project that the credential was linked to, or taken out of. */
export function linkEvents(credential: Credential, { added, removed }: LinkChanges): AuditEvent[] {
  return [
    ...added.map((projectId) => eventOf('linked', credential, { projectId })),
    ...removed.map((projectId) => eventOf('unlinked', credential, { projectId }))
  ]
}
