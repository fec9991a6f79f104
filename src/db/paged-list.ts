import { type Kysely, type RawBuilder, type SelectQueryBuilder, type SqlBool, sql } from 'kysely'
import type { Database } from './database.ts'
import { endOfPage, type Order, orderBy, type Position, type Slice } from './keyset.ts'
import { type Params, prepared } from './prepared.ts'
import type { Tables } from './tables.ts'

/** The rows of one page, and how many rows all pages have. */
export interface Found<Row> {
  rows: Row[]
  total: number
  /** Where the next page starts; null on the last one. */
  next: Position | null
}

/** The names of the parameters that have a value. */
type Given<Values> = ReadonlySet<keyof Values>

/**
 * Creates the function that reads one page of a list, in `pool` as `prepared` does. `build` selects all its
 * rows, with conditions for the parameters that are `given`. A statement is prepared for each combination of
 * these and each order.
 */
export function pagedList<Values extends object, Row extends object, Sort extends string>(
  build: (
    db: Kysely<Tables>,
    params: Params<Values>,
    given: Given<Values>
    // biome-ignore lint/suspicious/noExplicitAny: its tables and aliases do not matter here, only its rows
  ) => SelectQueryBuilder<any, any, Row>,
  orderOf: (sort: Sort) => Order,
  options: { pool?: 'longReads' } = {}
) {
  type P = Params<Values & { afterKey: string; afterId: string; limit: number; offset: number }>

  const statementsFor = (given: Given<Values>, sort: Sort, isAfter: boolean) => {
    const order = orderOf(sort)
    return {
      rows: prepared(
        (db, p: P) =>
          build(db, p, given)
            .$if(isAfter, (query) => query.where(order.isAfter(p.afterKey, p.afterId)))
            .select([order.key.as('sort_key'), sql<string>`${order.id}::text`.as('sort_id')])
            .orderBy(order.column, order.direction)
            .orderBy(order.id, order.direction)
            .limit(p.limit)
            .offset(p.offset),
        options
      ),
      total: prepared(
        (db, p: P) =>
          build(db, p, given)
            .clearSelect()
            .select((eb) => eb.fn.countAll<number>().as('total')),
        options
      )
    }
  }

  const statements = new Map<string, ReturnType<typeof statementsFor>>()
  return async (
    db: Database,
    values: { readonly [Name in keyof Values]: Values[Name] | undefined },
    slice: Slice<Sort>
  ): Promise<Found<Row>> => {
    const given = (Object.keys(values) as (keyof Values)[]).filter((name) => values[name] !== undefined)
    const { after, limit, offset, sort } = slice
    const variant = [sort, after !== null, ...given].join()
    const found = statements.get(variant) ?? statementsFor(new Set(given), sort, after !== null)
    statements.set(variant, found)
    const place = { afterKey: after?.key ?? '', afterId: after?.id ?? '', limit: limit + 1, offset }
    const all = { ...(values as Values), ...place }
    // Sequential, because a request may use one connection for long reads at a time.
    const rows = await found.rows(db, all)
    const [count] = await found.total(db, all)
    const page = endOfPage(rows, slice, (row) => ({ key: row.sort_key, id: row.sort_id }))
    return { ...page, total: count!.total }
  }
}

/** The filters of users, projects and credential types. `pattern` matches folded names. */
export interface NamedFilter {
  pattern: string
  updatedSince: Date
}

export type NamedSort = `${'' | '-'}${'createdAt' | 'name' | 'updatedAt'}`

/** Returns the orders of a table with names, by its alias. */
export const namedOrder = (table: string) => (sort: NamedSort) => {
  const column = (name: string) => sql.ref(`${table}.${name}`)
  return orderBy(
    sort,
    {
      createdAt: { value: column('created_at'), type: 'timestamptz' },
      name: { value: column('name_key'), type: 'text' },
      updatedAt: { value: column('updated_at'), type: 'timestamptz' }
    },
    { value: column('id'), type: 'uuid' }
  )
}

/** True for the rows that the filter selects. */
export function matches(
  table: string,
  { pattern, updatedSince }: Params<NamedFilter>,
  given: ReadonlySet<string>
): RawBuilder<SqlBool> {
  const conditions = [
    given.has('pattern') ? sql`${sql.ref(`${table}.name_key`)} like ${pattern}` : sql`true`,
    given.has('updatedSince') ? sql`${sql.ref(`${table}.updated_at`)} >= ${updatedSince}` : sql`true`
  ]
  return sql<SqlBool>`${sql.join(conditions, sql` and `)}`
}
