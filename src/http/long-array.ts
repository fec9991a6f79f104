import { setImmediate as nextTurn } from 'node:timers/promises'

/** How many items are serialized before other requests have their turn: a few milliseconds' work. */
const PART = 250

/** The JSON text of an array that may be long, in parts. */
export async function* arrayText<T>(items: readonly T[], serialize: (item: T) => Promise<string>) {
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
