import {
  type Compilable,
  type CompiledQuery,
  type Expression,
  type Kysely,
  type SelectQueryBuilder,
  sql
} from 'kysely'
import { compiler } from './compiler.ts'
import type { Tables } from './tables.ts'

/** The SQL type of each property. */
export type SqlTypes<T> = { readonly [K in keyof T]: string }

const NUMBER = 'asked_number'

/** What many ask for, as the text that `askedRows` takes, numbered from 0. */
export function textOf(asked: readonly object[]): string {
  return JSON.stringify(asked.map(toJson))
}

function toJson(asked: object, number: number): object {
  const row: Record<string, unknown> = { [NUMBER]: number }
  for (const [name, value] of Object.entries(asked))
    row[name] = Array.isArray(value) ? value.map(inJson) : inJson(value)
  return row
}

/** Bytes as Postgres reads them from a text. */
const inJson = (value: unknown) => (Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : value)

/** A table function called `asked`: a row with these columns, and its number, for each in the text. */
export function askedRows<T extends object>(text: Expression<string>, types: SqlTypes<T>) {
  const columns = Object.entries({ [NUMBER]: 'int', ...types }).map(
    ([name, type]) => sql`${sql.ref(name)} ${sql.raw(String(type))}`
  )
  return sql<T & { [NUMBER]: number }>`jsonb_to_recordset(${text}::jsonb)`.as<'asked'>(
    sql`asked(${sql.join(columns)})`
  )
}

/** A select for all that ask for it: each of its rows has the number of the one it is for. */
export function forMany<P extends object, R>(
  build: (db: Kysely<Tables>, params: { readonly [K in keyof P]: Expression<P[K]> }) => Compilable<R>,
  types: SqlTypes<P>
): CompiledQuery {
  const columns = Object.keys(types).map((name) => [name, sql.ref(`asked.${name}`)])
  const answer = build(compiler, Object.fromEntries(columns)) as SelectQueryBuilder<Tables, never, object>
  return compiler
    .selectFrom(askedRows(sql<string>`${''}`, types))
    .innerJoinLateral(answer.as('answer'), (join) => join.onTrue())
    .select(sql`asked.${sql.ref(NUMBER)}, answer.*` as never)
    .compile()
}

/** The rows of `forMany`, by whom they are for. */
export function byNumber<R>(rows: readonly R[], count: number): R[][] {
  const answers: R[][] = Array.from({ length: count }, () => [])
  for (const row of rows) answers[(row as R & { [NUMBER]: number })[NUMBER]]!.push(row)
  return answers
}
