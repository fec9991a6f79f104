import type { FastifyBaseLogger } from 'fastify'
import type { Database } from '../db/database.ts'
import { touchAccessTokens, touchSessions } from './caller-repository.ts'
import type { PresentedToken } from './presented-token.ts'

/**
 * Writes the time of the last use of sessions and access tokens. Requests do not wait for it, and do not fail
 * if it fails: one statement at a time writes the uses since the previous statement.
 */
export class LastUses {
  readonly #db: Database
  readonly #log: FastifyBaseLogger
  readonly #idleMinutes: number
  readonly #ids = { session: new Set<string>(), 'access-token': new Set<string>() }
  #writing: Promise<void> | undefined

  constructor(db: Database, log: FastifyBaseLogger, idleMinutes: number) {
    this.#db = db
    this.#log = log
    this.#idleMinutes = idleMinutes
  }

  /** If the write fails, the next request of the caller tries again. */
  add(kind: PresentedToken['kind'], id: string): void {
    this.#ids[kind].add(id)
    this.#writing ??= this.#write()
  }

  /** Resolves when all uses are written. */
  async end(): Promise<void> {
    await this.#writing
  }

  async #write(): Promise<void> {
    const { session: sessions, 'access-token': tokens } = this.#ids
    try {
      while (sessions.size > 0 || tokens.size > 0) {
        if (sessions.size > 0) await touchSessions(this.#db, taken(sessions), this.#idleMinutes)
        if (tokens.size > 0) await touchAccessTokens(this.#db, taken(tokens))
      }
    } catch (error) {
      this.#log.warn({ err: error }, 'the last use of sessions and tokens was not written')
    } finally {
      this.#writing = undefined
    }
  }
}

function taken(ids: Set<string>): string[] {
  const all = [...ids]
  ids.clear()
  return all
}
