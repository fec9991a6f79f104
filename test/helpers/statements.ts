import pg from 'pg'
import type { Test } from 'tap'

export interface Statements {
  /** The texts of all statements that were sent. */
  sent: string[]
  /** The errors of the statements that Postgres refused. */
  refused: Error[]
}

/** Records the statements that this process sends to Postgres from now on. */
export function watchStatements(t: Test): Statements {
  const seen: Statements = { sent: [], refused: [] }
  const prototype = pg.Client.prototype as unknown as { query(query: string | { text: string }): unknown }
  const original = prototype.query
  prototype.query = function (query) {
    seen.sent.push(typeof query === 'string' ? query : query.text)
    const result = original.call(this, query)
    if (result instanceof Promise) result.catch((error) => seen.refused.push(error))
    return result
  }
  t.teardown(() => {
    prototype.query = original
  })
  return seen
}
