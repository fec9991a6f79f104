import type { FastifyRequest } from 'fastify'
import { DecryptionFailed } from '../crypto/aead.ts'
import { UnknownDataKey } from '../crypto/keyring.ts'
import type { Position, Slice } from '../db/keyset.ts'
import type { Found } from '../db/paged-list.ts'
import { patternOf } from '../names.ts'
import { allOf } from './faults.ts'
import type { InputErrorCode } from './input-error-codes.ts'
import { ValidationFailed } from './problems.ts'
import { optionalTime } from './times.ts'

/** The paging parameters of a list. */
interface Query<Sort extends string> {
  page?: number
  pageSize: number
  cursor?: string
  sort: Sort
}

/** The page that a request asks for. */
export interface RequestedPage<Sort extends string = string> extends Slice<Sort> {
  /** From 1. A cursor contains the number of its page. */
  number: number
  /** The cursor of the page that starts at this place. */
  cursorOf(next: Position): string
}

/**
 * Returns the requested page, by number or by cursor. A cursor is the position where its page starts,
 * encrypted so that no names reach the logs. It is valid only for its caller, list, filters and order. Throws
 * ValidationFailed.
 */
export function requestedPage<Sort extends string>(
  request: FastifyRequest,
  { page, pageSize: limit, cursor, sort, ...filters }: Query<Sort>
): RequestedPage<Sort> {
  const cursors = cursorsOf(request, [sort, canonical(filters)])
  const [start] = allOf(
    () => (cursor === undefined ? null : cursors.open(cursor)),
    () => {
      if (cursor !== undefined && page !== undefined)
        refuse('/query/page', 'one-of', 'Send page or cursor, not both.')
    }
  )
  const number = start?.number ?? page ?? 1
  return {
    sort,
    after: start?.position ?? null,
    limit,
    offset: start ? 0 : (number - 1) * limit,
    number,
    cursorOf: (position) => cursors.seal({ number: number + 1, position })
  }
}

/** Returns the requested page and filters of a list of users, projects or credential types. */
export function requestedNamedPage<Sort extends string>(
  request: FastifyRequest,
  query: Query<Sort> & { search?: string; updatedSince?: string }
) {
  return allOf(
    () => requestedPage(request, query),
    () => ({
      pattern: patternOf(query.search),
      updatedSince: optionalTime(query.updatedSince, '/query/updatedSince')
    })
  )
}

/** Returns the response body with one page. */
export function pageOf<Row, Item>(
  requested: RequestedPage,
  { rows, total, next }: Found<Row>,
  toItem: (row: Row) => Item
) {
  return {
    data: rows.map(toItem),
    total,
    page: requested.number,
    pageSize: requested.limit,
    nextCursor: next && requested.cursorOf(next)
  }
}

interface Start {
  number: number
  position: Position
}

function cursorsOf(request: FastifyRequest, query: readonly string[]) {
  const { caller, params, routeOptions, server } = request
  const who = caller?.type === 'project-token' ? caller.projectId : request.principal.userId
  const sealer = server.services.keyring.cursors(who)
  const list = [String(routeOptions.schema?.operationId), canonical(params).toLowerCase(), ...query]
  return {
    seal({ number, position: { key, id } }: Start): string {
      return sealer.seal(list, Buffer.from(JSON.stringify([number, key, id]))).toString('base64url')
    },
    open(cursor: string): Start {
      const sealed = Buffer.from(cursor, 'base64url')
      // Rejects other spellings of the same bytes.
      if (sealed.toString('base64url') !== cursor) return refuseCursor()
      try {
        const [number, key, id] = JSON.parse(sealer.open(list, sealed).toString()) as [number, string, string]
        return { number, position: { key, id } }
      } catch (error) {
        // Another replica has a new data key: `retryOnKeyChange` loads it.
        if (error instanceof UnknownDataKey || !(error instanceof DecryptionFailed)) throw error
        return refuseCursor()
      }
    }
  }
}

/** Returns the same text for the same properties in any order. */
function canonical(properties: unknown): string {
  return JSON.stringify(Object.entries(Object(properties)).sort(([one], [other]) => (one < other ? -1 : 1)))
}

function refuseCursor(): never {
  const message = 'The cursor does not belong to this list with these filters and order. Start without one.'
  return refuse('/query/cursor', 'invalid-cursor', message)
}

function refuse(path: string, code: InputErrorCode, message: string): never {
  throw new ValidationFailed({ errors: [{ path, code, message }] })
}
