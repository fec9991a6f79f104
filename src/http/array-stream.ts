import { Readable } from 'node:stream'
import { AnswerTooLarge } from './problems.ts'

/** The number of items that are read and serialized at a time: a few milliseconds of work. */
export const PART = 250
/** The most items of a list without pages. */
export const MAX_ITEMS = 10_000

/**
 * Returns the JSON text of an array as a stream between `before` and `after`, for lists of more than `PART`
 * items. `read` gets the ids in parts, each when the connection has taken the parts before it, so that a
 * client that does not read holds little memory. Throws AnswerTooLarge for more than `MAX_ITEMS` ids.
 */
export function arrayStream<T>(
  ids: readonly string[],
  read: (ids: readonly string[]) => Promise<readonly T[]>,
  serialize: (item: T) => string | Promise<string>,
  [before, after] = ['[', ']']
): Readable {
  if (ids.length > MAX_ITEMS) {
    const detail = `The list has over ${MAX_ITEMS.toLocaleString('en')} credentials, the most that it answers with.`
    throw new AnswerTooLarge({ detail: `${detail} Ask for them by id, or put them in several projects.` })
  }
  return Readable.from(textOf(ids, read, serialize, before, after))
}

async function* textOf<T>(
  ids: readonly string[],
  read: (ids: readonly string[]) => Promise<readonly T[]>,
  serialize: (item: T) => string | Promise<string>,
  before: string | undefined,
  after: string | undefined
) {
  let separator = before ?? ''
  for (let start = 0; start < ids.length; start += PART) {
    let text = ''
    for (const item of await read(ids.slice(start, start + PART))) {
      text += separator + (await serialize(item))
      separator = ','
    }
    yield text
  }
  yield after
}
