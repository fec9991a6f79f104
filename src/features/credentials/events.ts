import type { AuditEvent } from '../../audit/record.ts'
import type { LinkChanges } from './links.ts'

interface Credential {
  id: string
  name?: string
  owner_id: string
}

/** An audit event of a credential, visible to its owner and, with a `projectId`, to that project's admins. */
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

/** Returns one event for each project that the credential was added to or removed from. */
export function linkEvents(credential: Credential, { added, removed }: LinkChanges): AuditEvent[] {
  return [
    ...added.map((projectId) => eventOf('linked', credential, { projectId })),
    ...removed.map((projectId) => eventOf('unlinked', credential, { projectId }))
  ]
}
