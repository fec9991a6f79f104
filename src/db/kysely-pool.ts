import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type { ConnectionPool, Lease } from './pool.ts'

/**
 * The pool that Kysely uses. A select outside a transaction runs on a connection for reads; everything else,
 * and every transaction, on one for writes. Statements that wait for locks therefore never keep reads waiting
 * for a connection.
 */
export function kyselyPool(pool: ConnectionPool): PostgresPool {
  return {
    options: {} as PostgresPool['options'],
    connect: async () => new KyselyClient(pool) as unknown as PostgresPoolClient,
    end: () => pool.end()
  }
}

const SELECT = /^\s*select\b/
const LOCKS_ROWS = /\bfor (no key )?(update|share|key share)\b/i

class KyselyClient {
  readonly #pool: ConnectionPool
  #lease: Lease | undefined

  constructor(pool: ConnectionPool) {
    this.#pool = pool
  }

  async query(text: string, values: readonly unknown[]) {
    if (!this.#lease && SELECT.test(text) && !LOCKS_ROWS.test(text)) {
      return { command: 'SELECT' as const, rows: await this.#pool.query('reads', text, values) }
    }
    this.#lease ??= await this.#pool.connect('writes')
    const { connection } = this.#lease
    return text === 'rollback' ? connection.rollback() : connection.send(text, values)
  }

  release(): void {
    this.#lease?.release()
    this.#lease = undefined
  }
}
