import { type Compilable, type CompiledQuery, createQueryId, type Expression, type Kysely, sql } from 'kysely'
import { batchInput, compileBatch, groupByInput, type SqlTypes } from './batch-query.ts'
import { createBatcher } from './batcher.ts'
import { compiler } from './compiler.ts'
import { type Database, type Reader, readerOf } from './database.ts'
import { waitForTurn } from './long-reads.ts'
import type { Tables } from './tables.ts'

/** The largest number of lookups that share a statement. */
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

interface Options<P> {
  /**
   * The SQL types of the parameters. With these, concurrent calls outside transactions share one statement.
   * It is for selects that find few rows by key.
   */
  batch?: SqlTypes<P>
  /**
   * Where the select runs outside transactions: by default, batches on `lookups`. `reads` is for selects that
   * take longer, and `longReads` for those that read more than a few rows or blocks, so that no caller's
   * lookup waits for them. Long reads take turns: see `fairReads`.
   */
  pool?: 'lookups' | 'reads' | 'longReads'
}

/**
 * Returns a function that runs a query and returns its rows. The query is built and compiled once, at its
 * first use: doing that for every request costs more than sending it.
 */
export function prepared<P extends object, R>(
  build: (db: Kysely<Tables>, params: Params<P>) => Compilable<R>,
  { batch: types, pool: poolName = types && 'lookups' }: Options<P> = {}
): (db: Database, values: P) => Promise<R[]> {
  const single = once(() => build(compiler, params as Params<P>).compile())
  const batched = once(() => compileBatch(build, types!))
  const addToBatch = createBatcher<Reader, P, R[]>((reader) => ({
    async run(inputs) {
      const rows = await reader.query<R & { batch_index: number }>(batched().sql, [batchInput(inputs)])
      return groupByInput(rows, inputs.length)
    },
    maxSize: MAX_BATCH,
    concurrency: poolName === 'lookups' ? 1 : 2
  }))

  return async (db, values) => {
    const reader = poolName && readerOf(db, poolName)
    if (reader && poolName === 'longReads') await waitForTurn()
    if (reader && types) return addToBatch(reader, values)
    const query = single()
    const parameters = valuesOf(query, values)
    // Kysely runs a text that begins with `with` on a connection for writes.
    if (reader) return reader.query<R>(query.sql, parameters)
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
  let created: T | undefined
  return () => (created ??= make())
}
