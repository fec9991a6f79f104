/** What connections are for: batched look-ups by key, other short reads, long reads, and writes. */
export const KINDS = ['lookups', 'reads', 'longReads', 'writes'] as const

export type Kind = (typeof KINDS)[number]

/** The connections of a replica, unless it is told another number. */
export const DEFAULT_CONNECTIONS = 21

/** Returns how many of `connections` each kind may use at a time: one at least. 21 are 2, 6, 3 and 10. */
export function sharesOf(connections: number): Record<Kind, number> {
  const part = (of17: number) => 1 + Math.floor((Math.max(0, connections - KINDS.length) * of17) / 17)
  const [lookups, reads, longReads] = [part(1), part(5), part(2)]
  return { lookups, reads, longReads, writes: Math.max(1, connections - lookups - reads - longReads) }
}
