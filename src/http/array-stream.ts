import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { AnswerTooLarge } from './problems.ts'

/** The most items of a list without pages. */
export const MAX_ITEMS = 10_000
/** The most items, and the most links of these to projects, that are read at a time. */
const PART = { items: 50, links: 200 }

export interface Listed {
  id: string
  /** How many projects the item names. With many, it is large. */
  links: number
}

/**
 * Returns the ids in parts that are each read at once: a part takes a few milliseconds, and at most some MB.
 * Throws AnswerTooLarge for more than `MAX_ITEMS`.
 */
export function partsOf(listed: readonly Listed[]): string[][] {
  if (listed.length > MAX_ITEMS) {
    const most = MAX_ITEMS.toLocaleString('en')
    const detail = `The list has over ${most} credentials, the most that it answers with.`
    throw new AnswerTooLarge({ detail: `${detail} Ask for them by id, or put them in several projects.` })
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
 * Sends the JSON text of an array as a stream between `before` and `after`. `read` gets each part of the
 * ids when the connection has taken the parts before it, so that a client that does not read holds little
 * memory.
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
