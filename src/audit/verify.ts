import type { Database, Transaction } from '../db/database.ts'
import { findHead, GENESIS, hashOf } from './chain.ts'
import type { ChainHead, Compared } from './chain-repository.ts'
import * as repository from './chain-repository.ts'

/** The number of positions that are verified as one range. */
const RANGE = 2_000

/**
 * The first event that differs from the chain: it was changed, is missing, or was added without being sealed.
 * If the chain is verified from a stored head, also: the chain has another hash at its position ("replaced"),
 * or ends before it ("cut").
 */
export interface ChainFault {
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
  broken: ChainFault | undefined
}

export interface VerifyOptions {
  /** A stored head. The events after it are verified. The link at its position may have been dropped. */
  from?: ChainHead
  /** The number of ranges that are read at the same time, each over its own connection. */
  parallel?: number
  /** Called from time to time with the head up to which the chain is verified. */
  onProgress?: (head: ChainHead) => void
}

/**
 * Verifies the chain from a head to its end, and then that every event is sealed or waiting to be sealed.
 *
 * Ranges of positions are verified at the same time. Each starts with the stored hash before it, and the
 * previous range must end with the same hash. Together they verify the whole chain.
 */
export async function verifyChain(db: Database, options: VerifyOptions = {}): Promise<Verdict> {
  const { from = GENESIS, parallel = 4, onProgress = () => {} } = options
  const unsealed = await repository.countUnsealed(db, null)
  const last = (await findHead(db)).position
  const stored = await repository.findHash(db, from.position)
  let head = from
  const verdict = (broken: ChainFault | undefined): Verdict => ({
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
    // Errors are thrown in the order of the ranges, so that the first one is reported.
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
  broken?: ChainFault
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
 * Returns an event that is neither in the chain nor waiting to be sealed ("added"), or a waiting event that
 * no longer exists ("missing"), if there is one. Sealing continues in the meantime, so each statement must
 * look in both tables at once.
 */
async function findStray(db: Database): Promise<ChainFault | undefined> {
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
