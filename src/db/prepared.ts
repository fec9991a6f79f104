import {
  type Compilable,
  type CompiledQuery,
  createQueryId,
  type Expression,
  type Kysely,
  type OperationNode,
  type RootOperationNode,
  SelectQueryNode,
  sql
} from 'kysely'
import { byNumber, forMany, type SqlTypes, textOf } from './batch-query.ts'
import { createBatcher } from './batcher.ts'
import { compiler } from './compiler.ts'
import type { Database } from './database.ts'
import type { Tables } from './tables.ts'

/**
 * Names are given to the texts of data statements, so that Postgres parses and plans each once a connection.
 * A text that varies without end (which none should: lists go as arrays) is not named past this many.
 */
const MAX_NAMES = 1_000
const names = new Map<string, string>()
const NAMED = new Set(['SelectQueryNode', 'InsertQueryNode', 'UpdateQueryNode', 'DeleteQueryNode'])

/** The prepared statement's name for this query; undefined for those that are sent unnamed. */
export function nameOf(compiled: CompiledQuery): string | undefined {
  const known = names.get(compiled.sql)
  if (known !== undefined) return known
  if (!NAMED.has(compiled.query.kind) || names.size >= MAX_NAMES) return undefined
  const name = `latchkey_${names.size}`
  names.set(compiled.sql, name)
  return name
}

/**
 * A select that takes no lock and changes nothing, by how it is planned and what it may hold up: `long` reads grow with
 * what somebody has, as a list does; how best to `search` depends on what for.
 */
export type Read = 'quick' | 'long' | 'search'

const kinds = new WeakMap<RootOperationNode, Read>()

/** Which kind of read it is; undefined for all that locks or changes anything. */
export function readOf(node: RootOperationNode): Read | undefined {
  if (!SelectQueryNode.is(node) || node.endModifiers?.length) return undefined
  if (!(node.with?.expressions ?? []).every((common) => isSelect(common.expression))) return undefined
  return kinds.get(node) ?? 'quick'
}

const isSelect = (node: OperationNode) => SelectQueryNode.is(node) && !node.endModifiers?.length

class Parameter {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** One placeholder for each parameter of a prepared query. */
export type Params<P> = { readonly [K in keyof P]: Expression<P[K]> }

const params = new Proxy({} as Record<string, Expression<unknown>>, {
  get: (_, name) => sql`${new Parameter(String(name))}`
})

interface Options<P> {
  /** Which kind of read it is, when it is not a quick one. */
  read?: Read
  /** The SQL types of a read's parameters: all that ask for it at a time are answered by one statement. */
  together?: SqlTypes<P>
}

/**
 * A query whose text is built and compiled once, at its first use; gives its rows. Building a query anew for each
 * request costs more than sending it.
 */
export function prepared<P extends object, R>(
  build: (db: Kysely<Tables>, params: Params<P>) => Compilable<R>,
  { read: kind, together }: Options<P> = {}
): (db: Database, values: P) => Promise<R[]> {
  const compile = once(() => {
    const query = build(compiler, params as Params<P>).compile()
    if (kind) kinds.set(query.query, kind)
    return { query, read: readOf(query.query), name: nameOf(query) }
  })
  const valuesOf = (query: CompiledQuery, values: P) =>
    query.parameters.map((parameter) =>
      parameter instanceof Parameter ? values[parameter.name as keyof P] : parameter
    )

  // What Kysely would do besides, is for queries that are not compiled yet.
  async function readOne(reader: Reader, values: P) {
    const { query, read, name } = compile()
    const rows = await reader.read(read!, { name: name!, text: query.sql, values: valuesOf(query, values) })
    return rows as R[]
  }
  const many = once(() => forMany(build, together!))
  const readTogether = createBatcher<Reader, P, R[]>((reader) => ({
    async run(asked) {
      if (asked.length === 1) return [await readOne(reader, asked[0]!)]
      const query = { name: nameOf(many())!, text: many().sql, values: [textOf(asked)] }
      return byNumber((await reader.read(compile().read!, query)) as R[], asked.length)
    },
    maxSize: 32,
    // Of those that take longer, one is not to hold up all others.
    concurrency: compile().read === 'quick' ? 1 : 2
  }))

  return async (db, values) => {
    const { query, read, name } = compile()
    const reader = read && name !== undefined ? readers.get(db) : undefined
    if (reader) return together ? readTogether(reader, values) : readOne(reader, values)
    const parameters = valuesOf(query, values)
    return (await db.executeQuery<R>({ ...query, parameters, queryId: createQueryId() } as CompiledQuery<R>))
      .rows
  }
}

function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

interface Reader {
  read(kind: Read, query: { name: string; text: string; values: unknown[] }): Promise<unknown[]>
}

// Of databases, and of no transactions, whose statements have to go their own way.
const readers = new WeakMap<Database, Reader>()

/** Has prepared reads on this database go straight to its driver. */
export function readBy(db: Database, driver: Reader): void {
  readers.set(db, driver)
}
