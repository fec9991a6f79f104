import type { FastifyRequest } from 'fastify'
import { type Expression, type Kysely, type SelectQueryBuilder, sql } from 'kysely'
import type { Database } from '../db/database.ts'
import type { SqlTypes } from '../db/many.ts'
import { type Params, prepared } from '../db/statement.ts'
import type { Tables } from '../db/tables.ts'
import { SESSION_PROOF, type SessionProof, type SessionRow, sessionOf } from './session-principal.ts'
import { TOKEN_PROOF, type TokenProof, type TokenRow, tokenOf } from './token-principal.ts'

/** The user for whom something is looked up. */
export type Viewer = Expression<string | null>

/**
 * One row that a request needs besides its caller, for whom `viewer` stands in the query. Asked for alone, or along with
 * the caller in one statement: one way to the database instead of two, and what is found is found for that caller.
 */
export interface Lookup<Values extends object, Row> {
  alone(db: Database, viewer: string, values: Values): Promise<Row | undefined>
  withSession(db: Database, proof: SessionProof, values: Values): Promise<Both<SessionRow, Row> | undefined>
  withToken(db: Database, proof: TokenProof, values: Values): Promise<Both<TokenRow, Row> | undefined>
}

interface Both<Caller, Row> {
  caller: Caller
  found: Row | undefined
}

/** `build` gives no row or one, with an `id` in it. */
export function lookup<Values extends object, Row extends { id: string }>(
  // biome-ignore lint/suspicious/noExplicitAny: tables and aliases are the query's own; only its row matters here
  build: (db: Kysely<Tables>, params: Params<Values>, viewer: Viewer) => SelectQueryBuilder<any, any, Row>,
  types: SqlTypes<Values>
): Lookup<Values, Row> {
  type WithViewer = Values & { viewer: string }
  const alone = prepared((db, p: Params<WithViewer>) => build(db, p, p.viewer), {
    together: { ...types, viewer: 'uuid' } as SqlTypes<WithViewer>
  })

  function along<Proof extends object, Caller extends object>(
    // biome-ignore lint/suspicious/noExplicitAny: as above
    callerOf: (db: Kysely<Tables>, proof: Params<Proof>) => SelectQueryBuilder<any, any, Caller>,
    proofTypes: SqlTypes<Proof>
  ) {
    const statement = prepared(
      (db, p: Params<Proof & Values>) =>
        db
          .selectFrom(callerOf(db, p as never).as('caller'))
          .leftJoinLateral(build(db, p as never, sql.ref('caller.caller_user_id')).as('found'), (join) =>
            join.onTrue()
          )
          // Each of the two names its columns.
          .select(sql<Caller & Row>`caller.*, found.*` as never),
      { together: { ...proofTypes, ...types } as SqlTypes<Proof & Values> }
    )
    return async (db: Database, proof: Proof, values: Values): Promise<Both<Caller, Row> | undefined> => {
      const [row] = (await statement(db, { ...proof, ...values })) as (Caller & Row & { id: string | null })[]
      return row && { caller: row, found: row.id === null ? undefined : row }
    }
  }

  return {
    alone: async (db, viewer, values) => (await alone(db, { ...values, viewer } as WithViewer))[0],
    withSession: along<SessionProof, SessionRow>(sessionOf, SESSION_PROOF),
    withToken: along<TokenProof, TokenRow>(tokenOf, TOKEN_PROOF)
  }
}

/** A lookup with its values, for one request; `keep` takes what it found. */
export interface Along {
  lookup: Lookup<object, unknown>
  values: object
  keep(found: unknown): void
}

/** What a route looks up along with the caller; undefined when there is nothing to look for. */
export type AlongOf = (request: FastifyRequest) => Along | undefined

/**
 * What a request looks up for its caller, who is known by then: found along with the caller where the route's guard has
 * this `along`. Gives undefined where there is no such row, or no values to look for; throws as `principal` does.
 */
export function lookedUp<Values extends object, Row>(
  lookup: Lookup<Values, Row>,
  valuesOf: (request: FastifyRequest) => Values | undefined
): { along: AlongOf; of(request: FastifyRequest): Promise<Row | undefined> } {
  const found = new WeakMap<FastifyRequest, Row | undefined>()
  return {
    along(request) {
      const values = valuesOf(request)
      const keep = (row: unknown) => found.set(request, row as Row | undefined)
      return values && { lookup: lookup as unknown as Along['lookup'], values, keep }
    },
    async of(request) {
      // Who is nobody, or a machine, is refused before anything else is.
      const { userId } = request.principal
      if (found.has(request)) return found.get(request)
      const values = valuesOf(request)
      return values && lookup.alone(request.server.services.db, userId, values)
    }
  }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    along?: AlongOf
  }
}
