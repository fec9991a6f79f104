// Moves old events out of the database: exports a part of the chain, signs its head, and drops the
// partitions. If a run stops between two steps, the next run continues.
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, inTransaction } from '../db/database.ts'
import { isLockTimeout } from '../db/errors.ts'
import { baseNameOf, writeBytes, writeLines } from './archive-file.ts'
import * as archive from './archive-repository.ts'
import { hashOf } from './chain.ts'
import type { ChainHead } from './chain-repository.ts'
import * as chain from './chain-repository.ts'
import { type Signer, type StoredHead, signHead, verifyHeads } from './head.ts'
import { record, systemOrigin } from './record.ts'

const LOCK_PAUSE_MS = 2_000
const LOCK_ATTEMPTS = 60

export interface ArchiveOptions {
  directory: string
  keepDays: number
  signer: Signer
  /** Called with the head of each exported part, before its events are dropped. */
  onExported?: (head: StoredHead, file: string) => void
}

/**
 * Archives the partitions in which all events are older than `keepDays`, one after the other. `db` must be
 * connected as the owner of the tables. Throws if an event differs from the chain; nothing of its part is
 * then dropped.
 */
export async function archiveEvents(db: Database, options: ArchiveOptions): Promise<void> {
  let head = verifyHeads(await archive.listHeads(db), options.signer)
  await deleteExported(db, head.position)
  const { cutoff, ends } = await archive.findClosed(db, options.keepDays)
  for (const end of ends) {
    const found = await archive.listPartitions(db, end)
    const hasEvents = await archive.hasEvents(db, end)
    if (!hasEvents && found.every(({ isFirst }) => isFirst)) continue
    await requireNoStray(db, end)
    const from = head
    const next = await exportPart(db, from, end, cutoff, options).catch(async (error) => {
      // The other process may have dropped the missing events.
      await requireAlone(db, from)
      throw error
    })
    // A replica whose clock was behind gave events old ids, so they are younger than their ids.
    if (!next && hasEvents) continue
    await drop(db, from, end, next)
    head = next ?? from
    await deleteExported(db, head.position)
  }
}

/** Throws if an event before `end` is neither in the chain nor waiting to be sealed. */
async function requireNoStray(db: Database, end: string): Promise<void> {
  for (let after: string | null = null; after === null || after < end; ) {
    const from = after
    const { last, stray } = await chain.inStep(db, (trx) => chain.compareEvents(trx, from))
    if (stray) throw notAsSealed(`event ${stray} is not in the hash chain`)
    if (last === null) return
    after = last
  }
}

const notAsSealed = (what: string) =>
  new Error(`${what}: nothing was deleted; run "latchkey audit verify" for details`)

interface Seen {
  head: ChainHead
  first: number
  last: number
}

/** Thrown for an event that is too young; `last` is the last position before it, up to which to export. */
class TooYoung extends Error {
  readonly last: number
  constructor(last: number) {
    super('an event is too young to be exported')
    this.last = last
  }
}

/**
 * Exports the chain after `from` up to the last event with an id before `end`. If an event before that is
 * younger than `cutoff`, only up to the one before it. Returns undefined if there is nothing to export.
 */
async function exportPart(
  db: Database,
  from: ChainHead,
  end: string,
  cutoff: Date,
  { directory, signer, onExported = () => {} }: ArchiveOptions
): Promise<StoredHead | undefined> {
  let last = await archive.findLastPosition(db, end)
  while (last > from.position) {
    const base = join(directory, baseNameOf(from.position + 1, last))
    await requireSame(`${base}.head.json`, await chain.findHash(db, last))
    const seen: Seen = { head: from, first: Number.POSITIVE_INFINITY, last: 0 }
    try {
      const file = `${base}.jsonl.gz`
      const sha256 = await writeLines(file, linesOf(db, seen, { last, end, cutoff }))
      const head = signHead(
        {
          file: basename(file),
          sha256,
          from,
          to: seen.head,
          firstEventAt: new Date(seen.first),
          lastEventAt: new Date(seen.last)
        },
        signer
      )
      await writeBytes(`${base}.head.json`, head.head)
      await writeBytes(`${base}.head.sig`, head.signature)
      onExported(head, file)
      return head
    } catch (error) {
      if (!(error instanceof TooYoung)) throw error
      last = error.last
    }
  }
  return undefined
}

/** Throws if the file exists for another chain: it may be the only copy of the events of that chain. */
async function requireSame(path: string, hash: Buffer | undefined): Promise<void> {
  const found = await readFile(path, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (found !== undefined && !(hash && found.includes(`"${hash.toString('hex')}"`)))
    throw new Error(`${path} belongs to another audit log: use a directory for this database alone`)
}

/** Yields the verified events after `seen.head` up to position `last`, and updates `seen`. */
async function* linesOf(
  db: Database,
  seen: Seen,
  { last, end, cutoff }: { last: number; end: string; cutoff: Date }
): AsyncGenerator<string> {
  let lastBefore = seen.head.position
  while (seen.head.position < last) {
    const links = await chain.listLinks(db, seen.head.position, last)
    if (links.length === 0)
      throw notAsSealed(`position ${seen.head.position + 1} of the hash chain is missing`)
    for (const { id, content, ...link } of links) {
      const position = seen.head.position + 1
      const place = `position ${position} of the hash chain`
      if (link.position !== position) throw notAsSealed(`${place} is missing`)
      if (content === null) throw notAsSealed(`event ${id} at ${place} is missing`)
      const hash = hashOf(seen.head.hash, position, content)
      if (!hash.equals(link.hash)) throw notAsSealed(`event ${id} at ${place} is changed`)
      const at = timeOf(content)
      if (at >= cutoff.getTime()) throw new TooYoung(lastBefore)
      if (id < end) lastBefore = position
      seen.head = { position, hash }
      seen.first = Math.min(seen.first, at)
      seen.last = Math.max(seen.last, at)
      yield `{"hash":"${hash.toString('hex')}","event":[${position},${content.slice(1)}}\n`
    }
  }
}

/** Returns the time of an event, in milliseconds, from its columns as JSON. */
function timeOf(content: string): number {
  const [, microseconds] = JSON.parse(content) as string[]
  return Math.floor(Number(microseconds) / 1_000)
}

/** Throws if another run has archived events after `from`. */
async function requireAlone(db: Database, from: ChainHead): Promise<void> {
  const last = (await archive.listHeads(db)).at(-1)?.position ?? 0
  if (last !== from.position) throw new Error('another process is archiving the audit log')
}

/** Drops the partitions before `end`, unless another run has done so. Keeps events that were not exported. */
async function drop(db: Database, from: ChainHead, end: string, next: StoredHead | undefined): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(db, async (trx) => {
        await archive.lockLog(trx)
        await requireAlone(trx, from)
        if (next) await archive.insertHead(trx, next)
        await archive.dropPartitions(trx, end, next?.position ?? from.position)
        if (!next) return
        const { file, sha256, events } = JSON.parse(next.head.toString()) as Record<string, string>
        const details = { file: file!, sha256: sha256!, events: events!, position: next.position }
        await record(trx, systemOrigin('command line'), [
          { action: 'audit.archived', target: { type: 'audit-log', id: null }, details }
        ])
      })
    } catch (error) {
      if (!isLockTimeout(error)) throw error
      if (attempt === LOCK_ATTEMPTS) {
        throw new Error(
          'another transaction uses the audit log, such as a backup or a vacuum: nothing was dropped; run ' +
            'the command again when it has ended'
        )
      }
      // Lets requests run in between.
      await sleep(LOCK_PAUSE_MS)
    }
  }
}

/** Deletes events in later partitions that were exported: they were sealed before the last dropped one. */
async function deleteExported(db: Database, position: number): Promise<void> {
  while ((await inTransaction(db, (trx) => archive.deleteExported(trx, position))) > 0) {}
}
