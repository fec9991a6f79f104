import { type TSchema, Type } from '@sinclair/typebox'
import { MAX_NAME } from '../names.ts'
import { closed, described, namedEnum, nullable, quantity, ref, Timestamp, withDefault } from './schemas.ts'

/** Enough for a folded name of 200 characters of four bytes each. */
const MAX_CURSOR = 2_048

const Cursor = Type.String({
  minLength: 1,
  maxLength: MAX_CURSOR,
  pattern: '^[A-Za-z0-9_-]+$',
  expected: 'a `nextCursor` of this list',
  examples: ['AQAAAAGq2cY1nUu0m3oTg8bJXr5eVw7kQh4ZsD9LfPyCxNtB']
})

/** A cursor in a response. */
export const NextCursor = nullable({
  ...Cursor,
  description: 'The `cursor` of the next page; null on the last page'
})

/** A cursor in a query string. */
export const CursorQuery = {
  cursor: Type.Optional({
    ...Cursor,
    description: 'The `nextCursor` of the previous page. Send the same filters and order with it'
  })
}

export const pageSize = (most: number, byDefault: number) =>
  withDefault(
    Type.Integer({
      format: 'int32',
      minimum: 1,
      maximum: most,
      default: byDefault,
      description: 'The maximum number of entries on a page',
      examples: [byDefault]
    })
  )

export const PageQuery = {
  // Without a default in the document: clients that send defaults would send it together with `cursor`.
  page: Type.Optional(
    Type.Integer({
      format: 'int32',
      minimum: 1,
      maximum: 1_000_000_000,
      description: 'The number of the page; 1 by default. Cannot be combined with `cursor`',
      examples: [1]
    })
  ),
  pageSize: pageSize(100, 20),
  ...CursorQuery
}

/** The paging parameters of a list that is an array. Without them, the whole array is returned. */
export const ArrayPageQuery = {
  page: PageQuery.page,
  pageSize: Type.Optional(
    Type.Integer({
      format: 'int32',
      minimum: 1,
      maximum: 100,
      description: 'The maximum number of entries on a page; 20 if only `page` or `cursor` is sent',
      examples: [20]
    })
  ),
  ...CursorQuery
}

/** The parameter `sort`, with the component `name` as its type. The first order is the default. */
export function sortQuery<const T extends readonly [string, ...string[]]>(name: string, orders: T) {
  return {
    sort: withDefault(
      namedEnum(name, orders, {
        default: orders[0],
        description: 'The order of the entries; `-` means descending'
      })
    )
  }
}
/** The orders of users, projects and credential types. */
export const NamedSortQuery = sortQuery('NamedSort', [
  '-createdAt',
  'createdAt',
  'name',
  '-name',
  'updatedAt',
  '-updatedAt'
])
export const UpdatedSinceQuery = {
  updatedSince: Type.Optional(described(Timestamp, 'Only entries changed at this time or later'))
}
export const SearchQuery = {
  search: Type.Optional(
    Type.String({
      textRule: 'lookup',
      maxLength: MAX_NAME,
      description: 'Only entries whose name contains this text. Case-insensitive; without wildcards',
      examples: ['mail']
    })
  )
}

/** A page of items, as the component `name`. */
export function pageOf<T extends TSchema>(name: string, item: T, examples: unknown[] = []) {
  return closed(
    {
      data: Type.Array(ref(item), { maxItems: 100 }),
      total: quantity('The number of entries on all pages'),
      page: Type.Integer({
        format: 'int32',
        minimum: 1,
        maximum: 1_000_000_000,
        description: 'The page number; a cursor continues the count'
      }),
      pageSize: Type.Integer({ format: 'int32', minimum: 1, maximum: 100 }),
      nextCursor: NextCursor
    },
    {
      $id: name,
      examples: [{ data: examples, total: examples.length, page: 1, pageSize: 20, nextCursor: null }]
    }
  )
}

export const LinkHeader = {
  Link: {
    type: 'string',
    description:
      'If the response is one page: links to the pages `next` and `first` and, without `cursor`, `prev` ' +
      'and `last` (RFC 8288), relative to the URL of the request',
    examples: [
      '<?pageSize=20&cursor=AQAAAAGq2cY1nUu0m3oTg8bJ>; rel="next", <?pageSize=20&page=1>; rel="first"'
    ]
  }
}
