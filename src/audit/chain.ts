import { createHash } from 'node:crypto'
import { type Database, inTransaction, tryLockName } from '../db/database.ts'
import * as repository from './chain-repository.ts'
import { BATCH_BYTES, BATCH_SIZE, BEFORE_ALL, type ChainHead } from './chain-repository.ts'

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

/** The number of batches after which sealing starts again with the oldest event. */
const BATCHES = 50

/**
 * Appends the settled events to the chain in batches, until few are left or `signal` is aborted. Returns at
 * once if another process is sealing.
 */
export async function sealEvents(db: Database, signal?: AbortSignal): Promise<void> {
  // Each batch starts where the previous one ended, to skip deleted rows and events that settle later. Events
  // with lower ids can be added in the meantime, so sealing starts again with the oldest event now and then.
  let after = BEFORE_ALL
  for (let count = 1; !signal?.aborted; count++) {
    const batch = await sealBatch(db, after)
    if (!batch?.isFull) return
    after = count % BATCHES === 0 ? BEFORE_ALL : batch.last
  }
}

/**
 * Seals a batch of events after the id `after`. Returns undefined if none is settled or another process
 * seals.
 */
function sealBatch(db: Database, after: string): Promise<{ last: string; isFull: boolean } | undefined> {
  return inTransaction(db, async (trx) => {
    if (!(await tryLockName(trx, 'audit-chain'))) return undefined
    await repository.useKeys(trx)
    const ids = await repository.takeSettled(trx, after)
    if (ids.length === 0) return undefined
    const events = await repository.listUnchained(trx, ids)
    const { position, hash: start } = await findHead(trx)
    let hash = start
    let bytes = 0
    const links = events.map(({ id, content }, index) => {
      hash = hashOf(hash, position + index + 1, content)
      bytes += Buffer.byteLength(content)
      return { id, hash }
    })
    await repository.appendLinks(trx, position, links)
    const last = ids.reduce((max, id) => (id > max ? id : max))
    return { last, isFull: ids.length === BATCH_SIZE || bytes >= BATCH_BYTES }
  })
}
