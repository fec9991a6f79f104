import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Found } from '../db/paged-list.ts'
import { MAX_ITEMS } from './array-stream.ts'
import { type RequestedPage, requestedPage } from './paging.ts'

/** The default page size. */
const PAGE_SIZE = 20

/** The paging parameters of a list that is an array. */
interface Query {
  page?: number
  pageSize?: number
  cursor?: string
}

/** A page of an array. `links` is null if the request asks for the whole array. */
export interface RequestedArray<Sort extends string> extends RequestedPage<Sort> {
  /** The query parameters that the targets of `Link` share: the filters and the page size. */
  links: URLSearchParams | null
  byCursor: boolean
}

/**
 * Returns the requested page, or all items if the request has no paging parameter. Throws ValidationFailed.
 */
export function requestedArray<Sort extends string>(
  request: FastifyRequest,
  query: Query,
  sort: Sort
): RequestedArray<Sort> {
  const { page, pageSize, cursor, ...filters } = query
  const isWhole = page === undefined && pageSize === undefined && cursor === undefined
  const requested = requestedPage(request, { ...query, pageSize: pageSize ?? PAGE_SIZE, sort })
  // `partsOf` refuses more than MAX_ITEMS.
  if (isWhole) return { ...requested, limit: MAX_ITEMS + 1, links: null, byCursor: false }
  const links = new URLSearchParams({ ...filters, pageSize: String(requested.limit) })
  return { ...requested, links, byCursor: cursor !== undefined }
}

/**
 * Sets the Link header (RFC 8288) of a response that is one page of an array. Each target is only a query
 * string, relative to the URL of the request, because proxies may have changed that URL.
 */
export function setLinks(
  reply: FastifyReply,
  { links, byCursor, number, limit, cursorOf }: RequestedArray<string>,
  { next, total }: Found<unknown>
): void {
  if (!links) return
  const pages = Math.max(1, Math.ceil(total / limit))
  const link = (rel: string, page: Record<string, string>) =>
    `<?${new URLSearchParams([...links, ...Object.entries(page)])}>; rel="${rel}"`
  const numbered = (rel: string, page: number) => link(rel, { page: String(page) })
  const all = [
    ...(next ? [link('next', { cursor: cursorOf(next) })] : []),
    numbered('first', 1),
    ...(byCursor || number === 1 ? [] : [numbered('prev', Math.min(number - 1, pages))]),
    ...(byCursor ? [] : [numbered('last', pages)])
  ]
  reply.header('link', all.join(', '))
}
