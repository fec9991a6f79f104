import { LRUCache } from 'lru-cache'
import { RE2JS } from 're2js'

/** The largest total size of the patterns of one type, in RE2 instructions. */
export const MAX_INSTRUCTIONS = 2_500
/** The largest number of characters to search. */
export const MAX_SEARCHED = 4_096
/**
 * The maximum work of all searches of one request, in instructions times characters. The time of the NFA is
 * proportional to it, about 40 ns each for the worst patterns, and blocks other requests.
 */
export const MAX_WORK = 400_000

/** Holds more than the fields of one type. */
const cache = new LRUCache<string, RE2JS>({ max: 100 })

function compile(pattern: string): RE2JS {
  const compiled = cache.get(pattern) ?? RE2JS.compile(pattern)
  cache.set(pattern, compiled)
  return compiled
}

/**
 * Returns the pattern's size in RE2 instructions: Infinity if it is far too large, undefined if it is not RE2
 * syntax.
 */
export function sizeOfPattern(pattern: string): number | undefined {
  // Compiling a pattern with many repeats such as `a{1000}` can take a second, only to find that it is too
  // large.
  if (upperBound(pattern) > 8 * MAX_INSTRUCTIONS) return Number.POSITIVE_INFINITY
  try {
    return compile(pattern).programSize()
  } catch {
    return undefined
  }
}

/** Never less than the number of characters and classes after expanding the repeats in the pattern. */
function upperBound(pattern: string): number {
  let size = 0
  let end = 0
  for (const match of pattern.matchAll(/(\))?\{(\d+)(?:,(\d*))?\}/g)) {
    const [whole, ofGroup, least, most] = match
    const count = Math.max(Number(least), Number(most ?? 0))
    size += match.index - end
    // Everything before a repeated group is assumed to be inside it.
    size = ofGroup ? size * Math.max(1, count) : size + count
    end = match.index + whole.length
  }
  return size + pattern.length - end
}

/** Searches for the patterns of one request, whose work it bounds. */
export class PatternSearch {
  #work = 0

  /**
   * Returns true if the pattern is found anywhere in the text, and undefined, without a search, if that would
   * exceed MAX_WORK. Uses the NFA, whose time has a bound. The lazy DFA of `test()` is faster on most texts,
   * but up to ten times slower on hostile ones.
   */
  find(pattern: string, text: string): boolean | undefined {
    const compiled = compile(pattern)
    this.#work += compiled.programSize() * text.length
    return this.#work > MAX_WORK ? undefined : compiled.matcher(text).find()
  }
}
