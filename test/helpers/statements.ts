import pg from 'pg'
import type { Test } from 'tap'

export interface Statements {
  /** The texts of all that were sent since the last look. */
  sent: string[]
  /** What Postgres said against any of them. */
  refused: Error[]
}

interface Query {
  text: string
  callback: (error: Error | null, result: unknown) => void
}

/** What this process sends to Postgres from here on. */
export function watchStatements(t: Test): Statements {
  const seen: Statements = { sent: [], refused: [] }
  const prototype = pg.Client.prototype as unknown as { query(query: Query): unknown }
  const original = prototype.query
  prototype.query = function (query) {
    seen.sent.push(query.text)
    const { callback } = query
    if (callback) {
      query.callback = (error, result) => {
        if (error) seen.refused.push(error)
        callback(error, result)
      }
    }
    return original.call(this, query)
  }
  t.teardown(() => {
    prototype.query = original
  })
  return seen
}
