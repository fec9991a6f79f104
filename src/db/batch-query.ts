import { type Compilable, type CompiledQuery, type Expression, type Kysely, sql } from 'kysely'
import { compiler } from './compiler.ts'
import type { Tables } from './tables.ts'

/** The SQL type of each parameter. */
export type SqlTypes<P> = { readonly [K in keyof P]: string }

/**
 * Compiles a select into one that runs it for a batch of parameters. Its only parameter is the text that
 * `batchInput` makes; each row has the `batch_index` of the input that it belongs to.
 */
export function compileBatch<P extends object, R>(
  build: (db: Kysely<Tables>, params: { readonly [K in keyof P]: Expression<P[K]> }) => Compilable<R>,
  types: SqlTypes<P>
): CompiledQuery {
  const names = Object.keys(types)
  const columns = Object.entries({ batch_index: 'int', ...types }).map(
    ([name, type]) => sql`${sql.ref(name)} ${sql.raw(String(type))}`
  )
  const inputs = sql`jsonb_to_recordset(${''}::jsonb) as input(${sql.join(columns)})`
  const params = Object.fromEntries(names.map((name) => [name, sql.ref(`input.${name}`)]))
  const query = build(compiler, params as never)
  // `offset 0` keeps the planner from merging the select into the join, so it finds each input's rows by
  // index.
  const select = sql`select batch_index, output.* from ${inputs}
    cross join lateral (select output.* from ${query as never} as output offset 0) as output`
  return select.compile(compiler)
}

/** Encodes a batch of inputs as the parameter of a query that `compileBatch` made. */
export function batchInput(inputs: readonly object[]): string {
  return JSON.stringify(inputs.map((input, index) => ({ batch_index: index, ...encoded(input) })))
}

/** Groups the rows of a batch by their input, in the inputs' order. */
export function groupByInput<R>(rows: readonly (R & { batch_index: number })[], count: number): R[][] {
  const groups: R[][] = Array.from({ length: count }, () => [])
  for (const row of rows) groups[row.batch_index]!.push(row)
  return groups
}

function encoded(input: object): object {
  return Object.fromEntries(
    Object.entries(input).map(([name, value]) => [
      name,
      // Postgres reads bytes from JSON text in its hex format.
      Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : value
    ])
  )
}
