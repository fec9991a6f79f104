import { promisify } from 'node:util'
import { deflateRaw } from 'node:zlib'
import packageJson from '../../package.json' with { type: 'json' }
import { findHead } from '../audit/chain.ts'
import { backupTag } from '../crypto/backup-tag.ts'
import { type CopyTransaction, readSnapshot } from '../db/copy.ts'
import type { Database } from '../db/database.ts'
import { type BackupKey, currentKey } from '../features/keys/backup-key.ts'
import { rootKeysInUse } from '../features/keys/status.ts'
import type { RootKey } from '../root-keys/root-key.ts'
import { FrameWriter } from './frames.ts'
import { type Header, withChecksums } from './manifest.ts'
import { copyOutOf, listMigrations, listTables, serverState } from './tables-repository.ts'

const CHUNK_BYTES = 262_144
const compress = promisify(deflateRaw)

export interface BackupSummary {
  header: Header
  /** The number of rows by table. */
  rows: ReadonlyMap<string, number>
}

/**
 * Passes the bytes of a backup to `write`, from one snapshot of the database. `rootKeys` must contain the
 * root key that wraps the current data key.
 */
export async function writeBackup(
  db: Database,
  rootKeys: readonly RootKey[],
  write: (bytes: AsyncIterable<Buffer>) => Promise<void>
): Promise<BackupSummary> {
  const tables = (await listTables(db)).map(({ name }) => name)
  return readSnapshot(db, tables, async (copy) => {
    const key = await currentKey(copy.trx, rootKeys)
    const header = await headerOf(copy, key)
    const rows = new Map<string, number>()
    await write(bytesOf(copy, { key, header, rows }))
    return { header, rows }
  })
}

async function headerOf({ trx }: CopyTransaction, key: BackupKey): Promise<Header> {
  // First, because it throws if the tables are from another version.
  const migrations = await withChecksums(await listMigrations(trx))
  const head = await findHead(trx)
  const { version, now } = await serverState(trx)
  return {
    createdAt: now.toISOString(),
    latchkey: packageJson.version,
    postgres: version,
    migrations,
    rootKeys: await rootKeysInUse(trx),
    auditHead: { position: head.position, hash: head.hash.toString('hex') },
    dataKey: { number: key.number, wrapped: key.wrapped.toString('base64'), rootKey: key.rootKey }
  }
}

async function* bytesOf(
  { trx, connection }: CopyTransaction,
  { key, header, rows }: { key: BackupKey; header: Header; rows: Map<string, number> }
): AsyncGenerator<Buffer> {
  const frames = new FrameWriter()
  yield frames.firstLine()
  yield frames.json('header', header)
  for (const table of await listTables(trx)) {
    yield frames.json('table', table)
    const copied = connection.copyOut(copyOutOf(table))
    for await (const chunk of chunked(copied.bytes)) yield frames.frame('data', await compress(chunk))
    rows.set(table.name, copied.rows())
    yield frames.json('tableEnd', { rows: copied.rows(), sha256: frames.digest.toString('hex') })
  }
  yield frames.json('end', { tag: backupTag(key.bytes, frames.digest).toString('hex') })
}

async function* chunked(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let size = 0
  for await (const bytes of source) {
    for (let rest = bytes; rest.length > 0; ) {
      const part = rest.subarray(0, CHUNK_BYTES - size)
      rest = rest.subarray(part.length)
      size += part.length
      parts.push(part)
      if (size < CHUNK_BYTES) continue
      yield Buffer.concat(parts)
      parts = []
      size = 0
    }
  }
  if (size > 0) yield Buffer.concat(parts)
}
