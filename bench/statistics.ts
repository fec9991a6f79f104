export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Interpolates linearly between the two nearest values. */
export function quantile(values: readonly number[], at: number): number {
  const sorted = Float64Array.from(values).sort()
  const position = at * (sorted.length - 1)
  const below = Math.floor(position)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below]! + (position - below) * (sorted[above]! - sorted[below]!)
}

export interface Ratio {
  /** The median of the rounds. */
  median: number
  low: number
  high: number
}

/** Returns the median of the rounds' ratios with its 90 % confidence interval, from order statistics. */
export function ratioOf(rounds: readonly number[]): Ratio {
  const sorted = Float64Array.from(rounds).sort()
  // The number of values below the true median is binomial with p = 1/2.
  const reach = (1.645 * Math.sqrt(sorted.length)) / 2
  const low = Math.max(0, Math.floor(sorted.length / 2 - reach))
  const high = sorted.length - 1 - low
  return { median: median(rounds), low: sorted[low]!, high: sorted[high]! }
}
