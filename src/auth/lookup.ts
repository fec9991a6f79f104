import { type Expression, type Kysely, type SelectQueryBuilder, sql } from 'kysely'
import type { SqlTypes } from '../db/batch-query.ts'
import type { Database } from '../db/database.ts'
import { type Params, prepared } from '../db/prepared.ts'
import type { Tables } from '../db/tables.ts'
import { type CallerRow, callerByToken, TOKEN_PARAMS, type TokenParams } from './caller-repository.ts'

/** The user for whom rows are selected: null for a project token, and an expression in SQL. */
export type Viewer = Expression<string | null>

/** The caller in a query: a user, or a project token. */
export interface CallerIds<Id = string | null> {
  userId: Id
  projectId: Id
}

const CALLER_IDS = { userId: 'uuid', projectId: 'uuid' }

/** A query for the rows that a request acts on. It selects only rows that the caller may see. */
export interface Lookup<Values, Row> {
  /** Runs the query for an authenticated caller. */
  find(db: Database, caller: CallerIds, values: Values): Promise<Row[]>
  /** Finds the caller and their rows in one statement. Returns undefined if the token is unknown. */
  findWithCaller(
    db: Database,
    token: TokenParams,
    values: Values
  ): Promise<{ caller: CallerRow; rows: Row[] } | undefined>
}

/** Creates a lookup from a query, whose rows must have an `id`, and the SQL types of its parameters. */
export function lookup<Values extends object, Row extends { id: string }>(
  build: (
    db: Kysely<Tables>,
    params: Params<Values>,
    caller: CallerIds<Viewer>
    // biome-ignore lint/suspicious/noExplicitAny: its tables and aliases do not matter here, only its rows
  ) => SelectQueryBuilder<any, any, Row>,
  types: SqlTypes<Values>
): Lookup<Values, Row> {
  const alone = prepared((db, p: Params<Values & CallerIds>) => build(db, p, p), {
    batch: { ...types, ...CALLER_IDS } as SqlTypes<Values & CallerIds>
  })
  const caller = {
    userId: sql.ref('caller_user_id'),
    projectId: sql.ref('caller_project_id')
  } as CallerIds<Viewer>
  const together = prepared(
    (db, p: Params<Values & TokenParams>) =>
      db
        .selectFrom(callerByToken(p).as('caller'))
        .leftJoinLateral(build(db, p, caller).as('found'), (join) => join.onTrue())
        .select(sql<CallerRow & (Row | { id: null })>`caller.*, found.*` as never),
    { batch: { ...types, ...TOKEN_PARAMS } as SqlTypes<Values & TokenParams> }
  )
  return {
    find: (db, { userId, projectId }, values) => alone(db, { ...values, userId, projectId }),
    async findWithCaller(db, token, values) {
      const rows = (await together(db, { ...values, ...token })) as (CallerRow & (Row | { id: null }))[]
      const [first] = rows
      return first && { caller: first, rows: rows.filter((row) => row.id !== null) as (CallerRow & Row)[] }
    }
  }
}
