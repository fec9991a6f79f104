import { RevisionChanged } from '../../http/problems.ts'

/** The entity tag of a revision (RFC 9110, 8.8.3). */
export function etagOf(revision: number): string {
  return `"${revision}"`
}

/** The revisions that an If-Match header names; null when there is no header or it is `*`: then any will do. */
export function revisionsOf(ifMatch: string | undefined): number[] | null {
  if (ifMatch === undefined || ifMatch.trim() === '*') return null
  // A tag of another form, weak ones too, is of no revision (RFC 9110, 13.1.1: strong comparison).
  return ifMatch
    .split(',')
    .map((tag) => /^"(\d{1,9})"$/.exec(tag.trim())?.[1])
    .filter((revision) => revision !== undefined)
    .map(Number)
}

/** Throws RevisionChanged unless the current revision is one of those. */
export function requireRevision(revisions: number[] | null, current: number): void {
  if (revisions && !revisions.includes(current)) throw new RevisionChanged()
}
