import { promisify } from 'node:util'
import { inflateRaw } from 'node:zlib'
import { DamagedBackup, FRAMES, type Frame, readFrames } from './frames.ts'
import { End, Header, parseJson, Table, TableEnd } from './manifest.ts'

/** Larger than any frame of this version. */
const MAX_CHUNK_BYTES = 1_048_576
const inflate = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw)

export interface Visitor {
  /** Throws if the backup cannot be used. */
  header(header: Header): Promise<void>
  /** Takes all rows of a table, and returns their number. By default, they are skipped. */
  table?(table: Table, rows: AsyncIterable<Buffer>): Promise<number>
}

export interface ReadBackup {
  header: Header
  rows: Map<string, number>
  tag: Buffer
  /** SHA-256 of everything before the tag, which the tag authenticates. */
  digest: Buffer
}

/** Reads a backup to its end. Throws DamagedBackup if any of it has changed. */
export async function readBackup(source: AsyncIterable<Buffer>, visitor: Visitor): Promise<ReadBackup> {
  const frames = readFrames(source)
  try {
    const header = parseJson(Header, (await next(frames, 'header')).payload)
    await visitor.header(header)
    const rows = new Map<string, number>()
    for (;;) {
      const frame = await next(frames, 'table', 'end')
      if (frame.type === FRAMES.end) {
        const tag = Buffer.from(parseJson(End, frame.payload).tag, 'hex')
        // Throws if something follows.
        await frames.next()
        return { header, rows, tag, digest: frame.digest }
      }
      const table = parseJson(Table, frame.payload)
      if (rows.has(table.name)) throw new DamagedBackup('is damaged')
      rows.set(table.name, await readTable(frames, table, visitor))
    }
  } finally {
    await frames.return()
  }
}

async function readTable(
  frames: AsyncGenerator<Frame, void>,
  table: Table,
  visitor: Visitor
): Promise<number> {
  let end: Frame | undefined
  async function* payloads() {
    for (;;) {
      const frame = await next(frames, 'data', 'tableEnd')
      end = frame
      if (frame.type === FRAMES.tableEnd) return
      yield frame.payload
    }
  }
  async function* decompressed() {
    for await (const payload of payloads())
      yield await inflate(payload, { maxOutputLength: MAX_CHUNK_BYTES }).catch(() => {
        throw new DamagedBackup('is damaged')
      })
  }
  let copied: number | undefined
  if (visitor.table) copied = await visitor.table(table, decompressed())
  else for await (const _ of payloads());
  if (end?.type !== FRAMES.tableEnd) throw new Error(`rows of ${table.name} were not read`)
  const { rows, sha256 } = parseJson(TableEnd, end.payload)
  if (sha256 !== end.digest.toString('hex'))
    throw new DamagedBackup(`is damaged before the end of ${table.name}`)
  if (copied !== undefined && copied !== rows)
    throw new Error(`${copied} rows of ${table.name} were restored, but the backup has ${rows}`)
  return rows
}

/** Returns the next frame. Throws unless it has one of these types. */
async function next(frames: AsyncGenerator<Frame, void>, ...types: (keyof typeof FRAMES)[]): Promise<Frame> {
  const { value, done } = await frames.next()
  if (done || !types.some((type) => FRAMES[type] === value.type)) throw new DamagedBackup('is damaged')
  return value
}
