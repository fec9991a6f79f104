import { type RawBuilder, type SqlBool, sql } from 'kysely'

/** The place of a row in an order: its sort key, as exact text, and its id. */
export interface Position {
  key: string
  id: string
}

/** Which rows of a list to read. `sort` is the name of a column, after `-` in descending order. */
export interface Slice<Sort extends string = string> {
  sort: Sort
  /** Selects only rows after this place. Its row may have been deleted. */
  after: Position | null
  limit: number
  offset: number
}

/** A column to sort by. It must not be null. */
interface Column {
  value: RawBuilder<unknown>
  type: 'timestamptz' | 'text' | 'uuid'
}

/** One order of a list: by a column and then by the id, which decides between equal ones. */
export interface Order {
  direction: 'asc' | 'desc'
  column: RawBuilder<unknown>
  id: RawBuilder<unknown>
  /** The sort key as exact text. A `Date` would lose the microseconds. */
  key: RawBuilder<string>
  /** True for rows after the place. */
  isAfter(key: unknown, id: unknown): RawBuilder<SqlBool>
}

export function orderBy(sort: string, columns: Record<string, Column>, id: Column): Order {
  const descending = sort.startsWith('-')
  const column = columns[descending ? sort.slice(1) : sort]
  if (!column) throw new RangeError('the list has no such order')
  return {
    direction: descending ? 'desc' : 'asc',
    column: column.value,
    id: id.value,
    key: sql<string>`to_json(${column.value}) #>> '{}'`,
    isAfter: (key, of) => sql<SqlBool>`(${column.value}, ${id.value}) ${sql.raw(descending ? '<' : '>')}
      (${key}::${sql.raw(column.type)}, ${of}::${sql.raw(id.type)})`
  }
}

/** Removes the extra row that was read to find out whether there is a next page. */
export function endOfPage<Row>(
  rows: readonly Row[],
  { limit }: Slice,
  positionOf: (row: Row) => Position
): { rows: Row[]; next: Position | null } {
  const page = rows.slice(0, limit)
  return { rows: page, next: rows.length > limit ? positionOf(page.at(-1)!) : null }
}
