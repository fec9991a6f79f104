import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'

/** The number of items that are serialized before other requests run: a few milliseconds of work. */
export const PART = 250

/** The JSON text of an array, as a stream in parts. For arrays of more than `PART` items. */
export function longArray<T>(items: readonly T[], serialize: (item: T) => Promise<string>): Readable {
  return Readable.from(parts(items, serialize))
}

async function* parts<T>(items: readonly T[], serialize: (item: T) => Promise<string>) {
  let text = '['
  for (const [index, item] of items.entries()) {
    if (index > 0) text += ','
    text += await serialize(item)
    if (index % PART === PART - 1) {
      yield text
      text = ''
      await nextTurn()
    }
  }
  yield `${text}]`
}
