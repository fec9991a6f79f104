/** One page of a list. */
export interface Page {
  data: object[]
  nextCursor: string | null
}

/**
 * Yields all rows of a list, with one request per page. The cursor is the position of the last row in the
 * order of the list: rows that are not removed are yielded once, even if others are added or removed.
 */
export async function* iteratePages(
  read: (query: Record<string, unknown>) => Promise<Page>,
  first: Record<string, unknown>
): AsyncGenerator<object, void, undefined> {
  let query = first
  for (;;) {
    const { data, nextCursor } = await read(query)
    // A page may be empty although more follow: for the audit log, the service searches a bounded part.
    yield* data
    if (nextCursor === null || nextCursor === query.cursor) return
    const { page: _page, ...rest } = query
    query = { ...rest, cursor: nextCursor }
  }
}
