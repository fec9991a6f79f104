/** What lists that have pages answer. */
export type Page =
  | { data: { id: string }[]; total: number; page: number; pageSize: number }
  | { data: { id: string }[]; nextCursor: string | null }

/** How often a walk goes back for what moved, at the most: a list that shrinks all the time is left sometime. */
const MOST_STEPS_BACK = 100

/**
 * All rows of a list, one request a page, as long as pages have rows. No row comes twice. New rows come first and so push
 * others back; only where the total has fallen may a row have moved to a page that was read already: it is read again.
 */
export async function* eachOf(
  read: (query: Record<string, unknown>) => Promise<Page>,
  first: Record<string, unknown>
): AsyncGenerator<{ id: string }, void, undefined> {
  // A cursor gives no row twice: only pages need it.
  const seen = new Set<string>()
  let query = first
  let before = 0
  let stepsBack = 0
  for (;;) {
    const answer = await read(query)
    if ('nextCursor' in answer) {
      yield* answer.data
      if (answer.nextCursor === null || answer.nextCursor === query.cursor || answer.data.length === 0) return
      query = { ...query, cursor: answer.nextCursor }
      continue
    }
    for (const row of answer.data) {
      if (seen.has(row.id)) continue
      seen.add(row.id)
      yield row
    }
    const { data, page, pageSize, total } = answer
    const gone = before - total
    before = total
    if (gone > 0 && page > 1 && stepsBack++ < MOST_STEPS_BACK)
      query = { ...query, page: Math.max(1, page - Math.ceil(gone / pageSize)) }
    else if (data.length === 0 || page * pageSize >= total) return
    else query = { ...query, page: page + 1 }
  }
}
