import { type Compilable, type CompiledQuery, createQueryId, type Expression, type Kysely, sql } from 'kysely'
import { batchInput, compileBatch, groupByInput, type SqlTypes } from './batch-query.ts'
import { createBatcher } from './batcher.ts'
import { compiler } from './compiler.ts'
import { type Database, lookupPool } from './database.ts'
import type { StatementPool } from './pool.ts'
import type { Tables } from './tables.ts'

/** The largest number of look-ups that share a statement. */
const MAX_BATCH = 32

class Parameter {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** A placeholder for each parameter of a prepared query. */
export type Params<P> = { readonly [K in keyof P]: Expression<P[K]> }

const params = new Proxy({} as Record<string, Expression<unknown>>, {
  get: (_, name) => sql`${new Parameter(String(name))}`
})

/**
 * Returns a function that runs a query and returns its rows. The query is built and compiled once, at its
 * first use: doing that for every request costs more than sending it.
 *
 * With `batch`, the SQL types of its parameters, concurrent calls outside transactions share one statement,
 * on a pool of its own. It is for selects that find few rows by key.
 */
export function prepared<P extends object, R>(
  build: (db: Kysely<Tables>, params: Params<P>) => Compilable<R>,
  { batch: types }: { batch?: SqlTypes<P> } = {}
): (db: Database, values: P) => Promise<R[]> {
  const single = once(() => build(compiler, params as Params<P>).compile())
  const batched = once(() => compileBatch(build, types!))
  const addToBatch = createBatcher<StatementPool, P, R[]>((pool) => ({
    async run(inputs) {
      const rows = await pool.query<R & { batch_index: number }>(batched().sql, [batchInput(inputs)])
      return groupByInput(rows, inputs.length)
    },
    maxSize: MAX_BATCH,
    concurrency: 1
  }))

  return async (db, values) => {
    const pool = types && lookupPool(db)
    if (pool) return addToBatch(pool, values)
    const query = single()
    const parameters = valuesOf(query, values)
    const result = await db.executeQuery<R>({
      ...query,
      parameters,
      queryId: createQueryId()
    } as CompiledQuery<R>)
    return result.rows
  }
}

function valuesOf<P extends object>(query: CompiledQuery, values: P): unknown[] {
  return query.parameters.map((parameter) =>
    parameter instanceof Parameter ? values[parameter.name as keyof P] : parameter
  )
}

function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}
