/** One page of a list. */
export interface Page {
  data: object[]
  nextCursor: string | null
}

/**
 * Yields all rows of a list, with one request per page, until the last page. The cursor is the place of the
 * last row in the order of the list: rows that stay are yielded once, whatever is added or removed meanwhile.
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
