import { RE2JS } from 're2js'

/** What the patterns of one type may compile to together, in RE2 instructions. */
export const MAX_INSTRUCTIONS = 2_500
/** Characters that a pattern is searched for in. With the other limit, all matching of a request stays under a second. */
export const MAX_SEARCHED = 4_096

/** Compiled patterns, the least lately used first; more than the fields of one type. */
const compiled = new Map<string, RE2JS>()
const MAX_KEPT = 100

function compile(pattern: string): RE2JS {
  const made = compiled.get(pattern) ?? RE2JS.compile(pattern)
  compiled.delete(pattern)
  compiled.set(pattern, made)
  if (compiled.size > MAX_KEPT) compiled.delete(compiled.keys().next().value!)
  return made
}

/** The pattern's size in RE2 instructions: Infinity for one far too large, undefined for what is not RE2 syntax. */
export function sizeOfPattern(pattern: string): number | undefined {
  // Compiling `a{1000}` a hundred times over would take a second, only to be told that it is too large.
  if (sizeAtMost(pattern) > 8 * MAX_INSTRUCTIONS) return Number.POSITIVE_INFINITY
  try {
    return compile(pattern).programSize()
  } catch {
    return undefined
  }
}

/** Never under the number of characters and classes that the repeats in the pattern come to. */
function sizeAtMost(pattern: string): number {
  let size = 0
  let end = 0
  for (const match of pattern.matchAll(/(\))?\{(\d+)(?:,(\d*))?\}/g)) {
    const [whole, ofGroup, least, most] = match
    const count = Math.max(Number(least), Number(most ?? 0))
    size += match.index - end
    // Of a group, all that came before it is taken to be in it.
    size = ofGroup ? size * Math.max(1, count) : size + count
    end = match.index + whole.length
  }
  return size + pattern.length - end
}

/**
 * Whether the pattern is found anywhere in the text. By the NFA, whose time is bounded by the two limits: the lazy DFA
 * of `test()` is faster on most texts, and up to ten times slower on those that are made to hurt it.
 */
export function isFound(pattern: string, text: string): boolean {
  return compile(pattern).matcher(text).find()
}
