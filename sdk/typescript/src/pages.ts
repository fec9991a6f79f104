/** The response of a list with pages or with a cursor. */
export type Page =
  | { data: { id: string }[]; total: number; page: number; pageSize: number }
  | { data: { id: string }[]; nextCursor: string | null }

/** Bounds how often pages are read again, so that iterating a constantly shrinking list ends. */
const MAX_STEPS_BACK = 100

/**
 * Yields all rows of a list, with one request per page, until the last page. No row is yielded twice. New
 * rows are inserted at the front and push others back. If the total has fallen, rows may have moved to pages
 * already read, so these pages are read again.
 */
export async function* iteratePages(
  read: (query: Record<string, unknown>) => Promise<Page>,
  first: Record<string, unknown>
): AsyncGenerator<{ id: string }, void, undefined> {
  // Needed only for pages: a cursor returns no row twice.
  const seen = new Set<string>()
  let query = first
  let previousTotal = 0
  let stepsBack = 0
  for (;;) {
    const response = await read(query)
    if ('nextCursor' in response) {
      const { data, nextCursor } = response
      yield* data
      // A page may be empty although there are more: the service looks at a bounded part of the log.
      if (nextCursor === null || nextCursor === query.cursor) return
      query = { ...query, cursor: nextCursor }
      continue
    }
    for (const row of response.data) {
      if (seen.has(row.id)) continue
      seen.add(row.id)
      yield row
    }
    const { data, page, pageSize, total } = response
    const removed = previousTotal - total
    previousTotal = total
    if (removed > 0 && page > 1 && stepsBack++ < MAX_STEPS_BACK)
      query = { ...query, page: Math.max(1, page - Math.ceil(removed / pageSize)) }
    else if (data.length === 0 || page * pageSize >= total) return
    else query = { ...query, page: page + 1 }
  }
}
