import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { AnswerTooLarge } from './problems.ts'

/** The maximum number of items in a list without pages. */
export const MAX_ITEMS = 10_000
/** The maximum number of items, and of their links to projects, that are read at a time. */
const PART = { items: 50, links: 200 }

export interface Listed {
  id: string
  /** The number of projects in the item, which determines its size. */
  links: number
}

/**
 * Splits the ids into parts that are read one at a time, each in a few milliseconds and a few MB at most.
 * Throws AnswerTooLarge for more than `MAX_ITEMS`.
 */
export function partsOf(listed: readonly Listed[]): string[][] {
  if (listed.length > MAX_ITEMS) {
    const most = MAX_ITEMS.toLocaleString('en')
    const detail = `The list has more than ${most} credentials. Read it in pages, with page or pageSize.`
    throw new AnswerTooLarge({ detail })
  }
  const parts: string[][] = []
  let total = Number.POSITIVE_INFINITY
  for (const { id, links } of listed) {
    total += links
    const part = parts.at(-1)
    if (part && part.length < PART.items && total <= PART.links) part.push(id)
    else {
      parts.push([id])
      total = links
    }
  }
  return parts
}

/**
 * Streams the JSON text of an array between `before` and `after`. `read` is called for a part only once the
 * connection has accepted the previous parts, so a client that does not read occupies little memory.
 */
export function sendArray<T>(
  reply: FastifyReply,
  parts: readonly (readonly string[])[],
  read: (ids: readonly string[]) => Promise<readonly T[]>,
  serialize: (item: T) => string | Promise<string>,
  [before, after]: readonly [string, string] = ['[', ']']
): FastifyReply {
  async function* text() {
    let separator = before
    for (const ids of parts) {
      let part = ''
      for (const item of await read(ids)) {
        part += separator + (await serialize(item))
        separator = ','
      }
      yield part
    }
    yield separator === before ? before + after : after
  }
  return reply.type('application/json; charset=utf-8').send(Readable.from(text()))
}
