import { createHash } from 'node:crypto'

/** Returns a number from 0 (inclusive) to 1 (exclusive). */
export type Random = () => number

/** Mulberry32, seeded with the hash of a text. */
export function seededRandom(seed: string): Random {
  let state = createHash('sha256').update(seed).digest().readUInt32LE()
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Draws an index below `count`. */
export type Distribution = (count: number, random: Random) => number

export const uniform: Distribution = (count, random) => Math.floor(random() * count)

/** Zipf with s = 1: index k is drawn in proportion to 1 / (k + 1). */
export const zipf: Distribution = (count, random) => {
  const sums = harmonicSums(count)
  const drawn = random() * sums[count - 1]!
  let [low, high] = [0, count - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sums[middle]! > drawn) high = middle
    else low = middle + 1
  }
  return low
}

const sumsByCount = new Map<number, Float64Array>()

function harmonicSums(count: number): Float64Array {
  let sums = sumsByCount.get(count)
  if (!sums) {
    sums = new Float64Array(count)
    let sum = 0
    for (let k = 0; k < count; k++) {
      sum += 1 / (k + 1)
      sums[k] = sum
    }
    sumsByCount.set(count, sums)
  }
  return sums
}
