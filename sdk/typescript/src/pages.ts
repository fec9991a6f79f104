/** What lists that have pages answer. */
export type Page =
  | { data: { id: string }[]; total: number; page: number; pageSize: number }
  | { data: { id: string }[]; nextCursor: string | null }

/** How often a walk goes back for what moved, at the most: a list that shrinks all the time is left sometime. */
const MOST_STEPS_BACK = 100

/**
 * All rows of a list, one request a page. No row comes twice. New rows come first in every list, and so push others back;
 * only where the total has fallen may a row have moved to a page that was read already, which is then read again.
 */
export async function* eachOf(
  read: (query: Record<string, unknown>) => Promise<Page>,
  first: Record<string, unknown>
): AsyncGenerator<{ id: string }, void, undefined> {
  const seen = new Set<string>()
  let query = first
  let before = 0
  let stepsBack = 0
  for (;;) {
    const answer = await read(query)
    for (const row of answer.data) {
      if (seen.has(row.id)) continue
      seen.add(row.id)
      yield row
    }
    if ('nextCursor' in answer) {
      if (answer.nextCursor === null) return
      query = { ...query, cursor: answer.nextCursor }
      continue
    }
    const { page, pageSize, total } = answer
    const gone = before - total
    before = total
    if (gone > 0 && page > 1 && stepsBack++ < MOST_STEPS_BACK)
      query = { ...query, page: Math.max(1, page - Math.ceil(gone / pageSize)) }
    else if (page * pageSize >= total) return
    else query = { ...query, page: page + 1 }
  }
}
