import { recordRestore } from '../audit/restored.ts'
import { isBackupTag } from '../crypto/backup-tag.ts'
import { type CopyTransaction, writeCopies } from '../db/copy.ts'
import type { Database } from '../db/database.ts'
import { isDatabaseError } from '../db/errors.ts'
import { migrate } from '../db/migrate.ts'
import { unwrapKey } from '../features/keys/backup-key.ts'
import type { RootKey } from '../root-keys/root-key.ts'
import { DamagedBackup } from './frames.ts'
import { type Header, isOfThisVersion, requireKnownMigrations, type Table } from './manifest.ts'
import { type ReadBackup, readBackup, type Visitor } from './read.ts'
import {
  analyze,
  copyInto,
  endSessions,
  findFilled,
  listMigrations,
  listTables,
  setTriggers
} from './tables-repository.ts'

export interface Restored {
  header: Header
  rows: ReadonlyMap<string, number>
}

/**
 * Reads a backup to its end without changing anything. Throws if it is damaged, if no service with one of
 * these root keys wrote it, or if this version or these root keys cannot restore it.
 */
export async function checkBackup(
  source: AsyncIterable<Buffer>,
  rootKeys: readonly RootKey[]
): Promise<ReadBackup> {
  return readChecked(source, rootKeys, {})
}

/** Reads a backup and checks its tag at the end. */
async function readChecked(
  source: AsyncIterable<Buffer>,
  rootKeys: readonly RootKey[],
  visitor: Partial<Visitor>
): Promise<ReadBackup> {
  let dataKey: Buffer = Buffer.alloc(0)
  const read = await readBackup(source, {
    ...visitor,
    async header(header) {
      await requireKnownMigrations(header)
      requireRootKeys(header, rootKeys)
      const { number, wrapped, rootKey } = header.dataKey
      dataKey = await unwrapKey({ number, wrapped: Buffer.from(wrapped, 'base64'), rootKey }, rootKeys)
      await visitor.header?.(header)
    }
  })
  if (isBackupTag(dataKey, read.digest, read.tag)) return read
  throw new DamagedBackup('was not written by a service with this root key, or has been changed')
}

function requireRootKeys({ rootKeys: needed, dataKey }: Header, rootKeys: readonly RootKey[]): void {
  const given = new Set(rootKeys.map(({ fingerprint }) => fingerprint))
  const missing = new Set([...needed, dataKey.rootKey].filter((fingerprint) => !given.has(fingerprint)))
  if (missing.size === 0) return
  const those = rootKeys.map(({ name, fingerprint }) => `${fingerprint} (${name})`).join(', ') || 'none'
  throw new Error(
    `this backup requires the root key with the fingerprint ${[...missing].join(', ')} in ` +
      `LATCHKEY_ROOT_KEYS, its file, or root.keys in LATCHKEY_DATA_DIR; given: ${those}`
  )
}

/**
 * Restores a backup into an empty database as the owner of its tables, ends all sessions and records the
 * event `database.restored`, in one transaction. A backup of an earlier version is then migrated, and the
 * event is recorded after that, because its table may have changed.
 */
export async function restoreBackup(
  db: Database,
  source: AsyncIterable<Buffer>,
  rootKeys: readonly RootKey[]
): Promise<Restored> {
  const event = ({ createdAt, latchkey: version }: Header) => ({ createdAt, version })
  const { header, rows } = await writeCopies(db, async (copy) => {
    let tables: Table[] = []
    const read = await readChecked(source, rootKeys, {
      async header(header) {
        await makeTables(db, header)
        tables = await listTables(copy.trx)
        await setTriggers(copy.trx, tables, false)
        await requireEmpty(copy.trx)
      },
      table: (table, lines) => copyTable(copy, { table, tables, lines })
    })
    const missing = tables.find(({ name }) => !read.rows.has(name))
    if (missing) throw new DamagedBackup(`does not contain the table ${missing.name}`)
    await setTriggers(copy.trx, tables, true)
    await endSessions(copy.trx)
    if (await isOfThisVersion(read.header)) await recordRestore(copy.trx, event(read.header))
    return read
  })
  await migrate(db)
  if (!(await isOfThisVersion(header))) await recordRestore(db, event(header))
  await analyze(db)
  return { header, rows }
}

/** Creates the tables of the backup's version, unless the database has them. */
async function makeTables(db: Database, header: Header): Promise<void> {
  await requireEmpty(db)
  const wanted = new Set(header.migrations.map(({ name }) => name))
  const extra = (await listMigrations(db)).filter((name) => !wanted.has(name))
  if (extra.length > 0) {
    throw new Error(
      `the tables in the database are from a later version than the backup (${extra.join(', ')}): ` +
        'restore into a new database'
    )
  }
  await migrate(db, { only: wanted })
}

async function requireEmpty(db: Database): Promise<void> {
  const filled = await findFilled(db)
  if (filled)
    throw new Error(`the database is not empty (the table ${filled} has rows): restore into a new database`)
}

async function copyTable(
  { connection }: CopyTransaction,
  { table, tables, lines }: { table: Table; tables: readonly Table[]; lines: AsyncIterable<Buffer> }
): Promise<number> {
  // The names in the file are not trusted.
  const own = tables.find(({ name }) => name === table.name)
  if (!own || own.columns.join() !== table.columns.join())
    throw new DamagedBackup(`contains a table or columns that its version does not have (${table.name})`)
  try {
    return await connection.copyIn(copyInto(own), lines)
  } catch (error) {
    if (!isDatabaseError(error)) throw error
    // Without the detail, which may repeat a row.
    throw new Error(`the rows of ${own.name} cannot be restored: ${error.message}`)
  }
}
