import { createHash } from 'node:crypto'
import { type Database, inTransaction, lockName } from '../db/database.ts'
import type { ChainHead } from './chain-repository.ts'
import * as repository from './chain-repository.ts'

/** The head of the empty chain. */
const GENESIS: ChainHead = { position: 0, hash: Buffer.alloc(32) }

/**
 * SHA-256 over the previous hash and the JSON array of the position and all columns. `content` is the array
 * of the columns, which Postgres writes as JSON.stringify does.
 */
function hashOf(previous: Buffer, position: number, content: string): Buffer {
  return createHash('sha256')
    .update(previous)
    .update(`[${position},${content.slice(1)}`)
    .digest()
}

/** Returns the position and hash of the last sealed event. */
export async function findHead(db: Database): Promise<ChainHead> {
  return (await repository.findLastLink(db)) ?? GENESIS
}

/** Appends a batch of settled events to the chain, and returns their number. Concurrent calls take turns. */
export function sealBatch(db: Database): Promise<number> {
  return inTransaction(db, async (trx) => {
    await lockName(trx, 'audit-chain')
    const ids = await repository.takeSettled(trx)
    if (ids.length === 0) return 0
    const events = await repository.listUnchained(trx, ids)
    let { position, hash } = await findHead(trx)
    const links = events.map(({ id, content }) => {
      hash = hashOf(hash, ++position, content)
      return { position, id, hash }
    })
    await repository.appendLinks(trx, links)
    return ids.length
  })
}

/**
 * The first event that differs from its seal: it was changed, is missing, or was added without being sealed.
 */
export interface Broken {
  what: 'changed' | 'missing' | 'added'
  /** Absent if the event is not in the chain. */
  position?: number
  id?: string
}

export interface Verdict {
  /** Number of sealed events that are intact. */
  verified: number
  unsealed: number
  head: ChainHead
  broken: Broken | undefined
}

/** Verifies the chain from its start, then that every event is in it or waits to be sealed. */
export async function verifyChain(db: Database): Promise<Verdict> {
  const unsealed = await repository.countUnsealed(db, null)
  let head = GENESIS
  const verdict = (broken: Broken | undefined): Verdict => ({
    verified: head.position,
    unsealed,
    head,
    broken
  })
  for (;;) {
    const links = await repository.listLinksAfter(db, head.position)
    if (links.length === 0) return verdict(await repository.findStray(db))
    for (const { id, content, ...link } of links) {
      const position = head.position + 1
      if (link.position !== position) return verdict({ what: 'missing', position })
      if (content === null) return verdict({ what: 'missing', position, id })
      const hash = hashOf(head.hash, position, content)
      if (!link.hash.equals(hash)) return verdict({ what: 'changed', position, id })
      head = { position, hash }
    }
  }
}
