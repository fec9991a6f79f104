import type { FastifyBaseLogger } from 'fastify'
import type { Database } from '../db/database.ts'
import { touchAccessTokens, touchSessions } from './caller-repository.ts'
import type { PresentedToken } from './presented-token.ts'

/**
 * Writes when sessions and access tokens were used last. No request waits for it or fails because of it: one
 * statement at a time writes those of all requests since the one before.
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

  /** Resolves when all is written. */
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
