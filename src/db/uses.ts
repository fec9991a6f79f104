import { WaitingList } from './waiting-list.ts'

/** The kinds of work that share the pool: batched lookups by key, other short reads, long reads, writes. */
export const KINDS = ['lookups', 'reads', 'longReads', 'writes'] as const

export type Kind = (typeof KINDS)[number]

/** The default number of connections of a replica. */
export const DEFAULT_CONNECTIONS = 21

/** The connections of one kind of work. */
export interface Use<T> {
  /** The maximum number in use at a time. */
  readonly share: number
  inUse: number
  opening: number
  readonly waiting: WaitingList<T>
}

export function usesOf<T>(connections: number): Record<Kind, Use<T>> {
  const shares = sharesOf(connections)
  const useOf = (kind: Kind): Use<T> => ({
    share: shares[kind],
    inUse: 0,
    opening: 0,
    waiting: new WaitingList()
  })
  return {
    lookups: useOf('lookups'),
    reads: useOf('reads'),
    longReads: useOf('longReads'),
    writes: useOf('writes')
  }
}

/** Sorts the kind that uses the fewest connections first, then the one that has waited longest. */
export const compareNeed = (a: Use<unknown>, b: Use<unknown>) =>
  a.inUse - b.inUse || a.waiting.since - b.waiting.since

/** The error of a caller that has waited too long. */
export const tooLate = ({ opening }: Use<unknown>) =>
  new Error(opening > 0 ? 'timeout exceeded when trying to connect' : 'timed out waiting for a connection')

/** Returns how many of `connections` each kind may use at a time, at least one: 21 gives 2, 6, 3 and 10. */
function sharesOf(connections: number): Record<Kind, number> {
  const part = (of17: number) => 1 + Math.floor((Math.max(0, connections - KINDS.length) * of17) / 17)
  const [lookups, reads, longReads] = [part(1), part(5), part(2)]
  return { lookups, reads, longReads, writes: Math.max(1, connections - lookups - reads - longReads) }
}
