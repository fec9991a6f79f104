import { createHash } from 'node:crypto'
import { type Database, inTransaction, tryLockName } from '../db/database.ts'
import type { ChainHead } from './chain-repository.ts'
import * as repository from './chain-repository.ts'

/** The head of the empty chain. */
export const GENESIS: ChainHead = { position: 0, hash: Buffer.alloc(32) }

/**
 * SHA-256 over the previous hash and the JSON array of the position and all columns. `content` is the array
 * of the columns, which Postgres writes as JSON.stringify does.
 */
export function hashOf(previous: Buffer, position: number, content: string): Buffer {
  return createHash('sha256')
    .update(previous)
    .update(`[${position},${content.slice(1)}`)
    .digest()
}

/** Returns the position and hash of the last sealed event. */
export async function findHead(db: Database): Promise<ChainHead> {
  return (await repository.findLastLink(db)) ?? GENESIS
}

/**
 * Appends the settled events to the chain, batch after batch, until there are none or `signal` is aborted.
 * Returns at once if another process is at it.
 */
export async function sealEvents(db: Database, signal?: AbortSignal): Promise<void> {
  // Each batch starts where the last one ended: what is before that may be many deleted rows, or events that
  // settle later. Events with a lower id that come meanwhile have their turn in the next call.
  let after: string | undefined = repository.BEFORE_ALL
  while (after !== undefined && !signal?.aborted) after = await sealBatch(db, after)
}

/**
 * Appends a batch of settled events with ids after `after`, and returns the last id; undefined if there are
 * none, or another process seals.
 */
function sealBatch(db: Database, after: string): Promise<string | undefined> {
  return inTransaction(db, async (trx) => {
    if (!(await tryLockName(trx, 'audit-chain'))) return undefined
    const ids = await repository.takeSettled(trx, after)
    if (ids.length === 0) return undefined
    const events = await repository.listUnchained(trx, ids)
    const { position, hash: start } = await findHead(trx)
    let hash = start
    const links = events.map(({ id, content }, index) => {
      hash = hashOf(hash, position + index + 1, content)
      return { id, hash }
    })
    await repository.appendLinks(trx, position, links)
    return ids.reduce((last, id) => (id > last ? id : last))
  })
}
