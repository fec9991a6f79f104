import type { FastifyRequest } from 'fastify'
import { type Expression, type Kysely, type SelectQueryBuilder, sql } from 'kysely'
import type { SqlTypes } from '../db/batch-query.ts'
import type { Database } from '../db/database.ts'
import { type Params, prepared } from '../db/prepared.ts'
import type { Tables } from '../db/tables.ts'
import { Unauthenticated } from '../http/problems.ts'
import { SESSION_PROOF, type SessionProof, type SessionRow, sessionOf } from './session-principal.ts'
import { TOKEN_PROOF, type TokenProof, type TokenRow, tokenOf } from './token-principal.ts'

/** The user for whom something is looked up. */
export type Viewer = Expression<string | null>

/** For whom it is: a user, or a machine of a project. */
export interface Asking<Id = string | null> {
  userId: Id
  projectId: Id
}

/**
 * Rows that a request needs besides its caller, for whom `asking` stands in the query. Asked for alone, or along with
 * the caller in one statement: one way to the database instead of two, and what is found is found for that caller.
 */
export interface Lookup<Values extends object, Row> {
  alone(db: Database, asking: Asking, values: Values): Promise<Row[]>
  withSession(db: Database, proof: SessionProof, values: Values): Promise<Both<SessionRow, Row> | undefined>
  withToken(db: Database, proof: TokenProof, values: Values): Promise<Both<TokenRow, Row> | undefined>
}

interface Both<Caller, Row> {
  caller: Caller
  found: Row[]
}

const ASKING = { userId: 'uuid', projectId: 'uuid' }

/** `build` gives rows with an `id` in each. */
export function lookup<Values extends object, Row extends { id: string }>(
  build: (
    db: Kysely<Tables>,
    params: Params<Values>,
    asking: Asking<Viewer>
    // biome-ignore lint/suspicious/noExplicitAny: tables and aliases are the query's own; only its rows matter here
  ) => SelectQueryBuilder<any, any, Row>,
  types: SqlTypes<Values>
): Lookup<Values, Row> {
  const alone = prepared((db, p: Params<Values & Asking>) => build(db, p, p), {
    together: { ...types, ...ASKING } as SqlTypes<Values & Asking>
  })

  function along<Proof extends object, Caller extends object>(
    // biome-ignore lint/suspicious/noExplicitAny: as above
    callerOf: (db: Kysely<Tables>, proof: Params<Proof>) => SelectQueryBuilder<any, any, Caller>,
    proofTypes: SqlTypes<Proof>,
    projectId: Viewer
  ) {
    const statement = prepared(
      (db, p: Params<Proof & Values>) =>
        db
          .selectFrom(callerOf(db, p as never).as('caller'))
          .leftJoinLateral(
            build(db, p as never, { userId: sql.ref('caller.caller_user_id'), projectId }).as('found'),
            (join) => join.onTrue()
          )
          // Each of the two names its columns.
          .select(sql<Caller & Row>`caller.*, found.*` as never),
      { together: { ...proofTypes, ...types } as SqlTypes<Proof & Values> }
    )
    return async (db: Database, proof: Proof, values: Values): Promise<Both<Caller, Row> | undefined> => {
      const rows = (await statement(db, { ...proof, ...values })) as (Caller & Row & { id: string | null })[]
      const [caller] = rows
      return caller && { caller, found: rows.filter((row) => row.id !== null) }
    }
  }

  return {
    alone: (db, { userId, projectId }, values) => alone(db, { ...values, userId, projectId }),
    withSession: along<SessionProof, SessionRow>(sessionOf, SESSION_PROOF, sql`null::uuid`),
    withToken: along<TokenProof, TokenRow>(tokenOf, TOKEN_PROOF, sql.ref('caller.caller_project_id'))
  }
}

/** A lookup with its values, for one request; `keep` takes what it found. */
export interface Along {
  lookup: Lookup<object, unknown>
  values: object
  keep(found: unknown[]): void
}

/** What a route looks up along with the caller; undefined when there is nothing to look for. */
export type AlongOf = (request: FastifyRequest) => Along | undefined

/**
 * What a request looks up for its caller, who is known by then: found along with the caller where the route's guard has
 * this `along`. Gives undefined where there are no values to look for. Throws Unauthenticated where nobody calls.
 */
export function lookedUp<Values extends object, Row>(
  lookup: Lookup<Values, Row>,
  valuesOf: (request: FastifyRequest) => Values | undefined
): { along: AlongOf; of(request: FastifyRequest): Promise<Row[] | undefined> } {
  // What another lookup has found is not taken for this one's.
  const by = Symbol('looked up')
  return {
    along(request) {
      const values = valuesOf(request)
      const keep = (rows: unknown[]) => {
        request.foundAlong = { by, rows }
      }
      return values && { lookup: lookup as unknown as Along['lookup'], values, keep }
    },
    async of(request) {
      const { caller } = request
      if (!caller) throw new Unauthenticated()
      // Used once: what is done again, because it has changed meanwhile, looks again.
      const { foundAlong } = request
      if (foundAlong?.by === by) {
        request.foundAlong = null
        return foundAlong.rows as Row[]
      }
      const values = valuesOf(request)
      const asking =
        caller.type === 'project-token'
          ? { userId: null, projectId: caller.projectId }
          : { userId: caller.userId, projectId: null }
      return values && lookup.alone(request.server.services.db, asking, values)
    }
  }
}

declare module 'fastify' {
  interface FastifyRequest {
    /** What was looked up along with the caller: null where nothing was. */
    foundAlong: { by: symbol; rows: unknown[] } | null
  }
  interface FastifyContextConfig {
    along?: AlongOf
    /** Its values are in the body. */
    alongBody?: boolean
  }
}
