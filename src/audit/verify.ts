import type { Database, Transaction } from '../db/database.ts'
import { findHead, GENESIS, hashOf } from './chain.ts'
import type { ChainHead, Compared } from './chain-repository.ts'
import * as repository from './chain-repository.ts'

/** Positions that are verified as one range. */
const RANGE = 2_000

/**
 * The first event that differs from its seal: it was changed, is missing, or was added without being sealed.
 * If the chain is verified from a noted head, also: the chain has another hash at its position ("replaced"),
 * or ends before it ("cut").
 */
export interface Broken {
  what: 'changed' | 'missing' | 'added' | 'replaced' | 'cut'
  /** Absent if the event is not in the chain. */
  position?: number
  id?: string
}

export interface Verdict {
  /** Number of sealed events, after the head to start from, that are intact. */
  verified: number
  unsealed: number
  /** The last event that is intact. */
  head: ChainHead
  broken: Broken | undefined
}

export interface VerifyOptions {
  /** A head that was noted: what follows it is verified. Its link may be gone. */
  from?: ChainHead
  /** How many ranges are read at the same time, each over a connection of its own. */
  parallel?: number
  /** Is called with the head up to which the chain is right, now and then. */
  onProgress?: (head: ChainHead) => void
}

/**
 * Verifies the chain after a head up to its end, then that every event is in it or waits to be sealed.
 *
 * Ranges of positions are verified at the same time. Each starts with the stored hash before it, and the
 * range before it has to end with that same hash: together they prove the whole.
 */
export async function verifyChain(db: Database, options: VerifyOptions = {}): Promise<Verdict> {
  const { from = GENESIS, parallel = 4, onProgress = () => {} } = options
  const unsealed = await repository.countUnsealed(db, null)
  const last = (await findHead(db)).position
  const stored = await repository.findHash(db, from.position)
  let head = from
  const verdict = (broken: Broken | undefined): Verdict => ({
    verified: head.position - from.position,
    unsealed,
    head,
    broken
  })
  if (last < from.position) return verdict({ what: 'cut', position: last + 1 })
  if (stored && !stored.equals(from.hash)) return verdict({ what: 'replaced', position: from.position })
  const ranges: Promise<Range>[] = []
  let next = from.position
  const start = () => {
    if (next >= last) return
    const range = verifyRange(
      db,
      next,
      Math.min(next + RANGE, last),
      next === from.position ? from.hash : undefined
    )
    // Only the first error counts, which is thrown when its turn comes.
    range.catch(() => {})
    ranges.push(range)
    next += RANGE
  }
  for (let i = 0; i < parallel; i++) start()
  try {
    for (let range = ranges.shift(); range; range = ranges.shift()) {
      const { start: hash, head: end, broken } = await range
      if (!hash?.equals(head.hash))
        return verdict({ what: hash ? 'changed' : 'missing', position: head.position })
      head = end
      if (broken) return verdict(broken)
      start()
      if (ranges.length > 0) onProgress(head)
    }
  } finally {
    await Promise.allSettled(ranges)
  }
  return verdict(await findStray(db))
}

interface Range {
  /** The hash before the range, or undefined if there is none. */
  start: Buffer | undefined
  head: ChainHead
  broken?: Broken
}

/** Verifies the links after position `after` up to `last`, with the stored hash before them, or `given`. */
async function verifyRange(db: Database, after: number, last: number, given?: Buffer): Promise<Range> {
  const start = given ?? (await repository.findHash(db, after))
  let head: ChainHead = { position: after, hash: start ?? GENESIS.hash }
  while (start && head.position < last) {
    const links = await repository.listLinks(db, head.position, last)
    const { position } = head
    if (links.length === 0) return { start, head, broken: { what: 'missing', position: position + 1 } }
    for (const { id, content, ...link } of links) {
      const position = head.position + 1
      if (link.position !== position) return { start, head, broken: { what: 'missing', position } }
      if (content === null) return { start, head, broken: { what: 'missing', position, id } }
      const hash = hashOf(head.hash, position, content)
      if (!link.hash.equals(hash)) return { start, head, broken: { what: 'changed', position, id } }
      head = { position, hash }
    }
  }
  return { start, head }
}

/**
 * Returns an event that is neither in the chain nor waiting to be sealed ("added"), or a waiting one that is
 * gone ("missing"), if there is one. Sealing goes on meanwhile, so each statement sees where an event is at
 * one moment.
 */
async function findStray(db: Database): Promise<Broken | undefined> {
  const added = await findFirst(db, repository.compareEvents)
  if (added) return { what: 'added', id: added }
  const missing = await findFirst(db, repository.compareUnsealed)
  return missing ? { what: 'missing', id: missing } : undefined
}

async function findFirst(
  db: Database,
  compare: (trx: Transaction, after: string | null) => Promise<Compared>
): Promise<string | undefined> {
  for (let after: string | null = null; ; ) {
    const from = after
    const { last, stray } = await repository.inStep(db, (trx) => compare(trx, from))
    if (stray) return stray
    if (last === null) return undefined
    after = last
  }
}
