import type { FastifyRequest } from 'fastify'
import { RevisionChanged } from '../../http/problems.ts'

/** Returns the entity tag of a revision (RFC 9110 section 8.8.3). */
export function etagOf(revision: number): string {
  return `"${revision}"`
}

/** Returns the revisions that an If-Match header accepts, or null for any: no header, or `*`. */
function revisionsOf(ifMatch: string | undefined): number[] | null {
  if (ifMatch === undefined || ifMatch.trim() === '*') return null
  // Tags of another form match nothing, weak ones included (RFC 9110 section 13.1.1: strong comparison).
  return ifMatch
    .split(',')
    .map((tag) => /^"(\d{1,9})"$/.exec(tag.trim())?.[1])
    .filter((revision) => revision !== undefined)
    .map(Number)
}

/** Throws RevisionChanged unless the current revision is accepted. */
export function requireRevision(revisions: number[] | null, current: number): void {
  if (!revisions || revisions.includes(current)) return
  throw new RevisionChanged(
    revisions.length === 0 ? { detail: '`If-Match` must be an `ETag`, such as "3" with its quotes.' } : {}
  )
}

/** The owner's credential to change, and the revisions of it that the caller accepts. */
export interface Target {
  ownerId: string
  id: string
  /** Null accepts any revision. */
  revisions: number[] | null
}

/** Returns the target for the row of the request's guard, with the revisions of its If-Match header. */
export function targetOf(request: FastifyRequest, row: { id: string; owner_id: string }): Target {
  return { ownerId: row.owner_id, id: row.id, revisions: revisionsOf(request.headers['if-match']) }
}
