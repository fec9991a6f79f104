import { stat } from 'node:fs/promises'
import { verifyChain } from '../audit/verify.ts'
import { encryption } from '../backup/age.ts'
import { opener, STANDARD, writeTo } from '../backup/file.ts'
import { DamagedBackup } from '../backup/frames.ts'
import type { Header } from '../backup/manifest.ts'
import { checkBackup, type Restored, restoreBackup } from '../backup/restore.ts'
import { withTemporaryDatabase } from '../backup/temporary.ts'
import { writeBackup } from '../backup/write.ts'
import { type Config, ConfigError } from '../config.ts'
import { createDatabase, type Database } from '../db/database.ts'
import { requireFirstTables } from '../db/first-tables.ts'
import { WITHOUT_LIMITS } from '../db/migrate.ts'
import { prepareDataDirectory, readRootKeys } from '../embedded/data-directory.ts'
import { startForService } from '../embedded/shared.ts'
import { checkValues } from '../features/keys/check-values.ts'
import type { RootKey } from '../root-keys/root-key.ts'
import { print } from '../terminal.ts'
import { describe } from './audit.ts'
import { findVerifiableHead } from './audit-archive.ts'
import { type Command, type Given, withDatabase } from './command.ts'

export const backupCommands: Record<string, Command> = {
  // First, because it begins with the name of the next one.
  'backup verify': {
    description: 'restore a backup into a temporary database, and check the audit chain and every value',
    argument: '<file>',
    options: ['identity'],
    run: verify
  },
  backup: {
    description: 'write all data to a file, or to standard output (-), while the service runs',
    argument: '<file>',
    options: ['recipient'],
    run: backUp
  },
  restore: {
    description: 'restore a backup into an empty database, and end all sessions',
    argument: '<file>',
    options: ['identity'],
    run: restore
  }
}

async function backUp(config: Config, { argument: path, options }: Given) {
  if (path === STANDARD && process.stdout.isTTY) throw new Error('a backup is not for a terminal')
  const encrypt = options.recipient && (await encryption(options.recipient))
  const rootKeys = await rootKeysOf(config)
  // In case that standard output ends too early.
  process.exitCode = 1
  const { header, rows } = await writeTo(path, (write) =>
    withDatabase(
      config,
      (db) => writeBackup(db, rootKeys, async (bytes) => write(encrypt ? await encrypt(bytes) : bytes)),
      { asOwner: true, ...WITHOUT_LIMITS }
    )
  )
  process.exitCode = 0
  const { position, hash } = header.auditHead
  const to = path === STANDARD ? '' : ` to ${path} (${(await stat(path)).size} bytes)`
  // Standard output may be the backup.
  process.stderr.write(
    `Backed up ${sum(rows)} rows of ${rows.size} tables${to}, as of ${header.createdAt}. ` +
      `Audit head: ${position} ${hash}. Needs the root key ${header.rootKeys.join(', ')}.\n`
  )
}

async function restore(config: Config, { argument: path, options }: Given) {
  const rootKeys = await rootKeysOf(config)
  const open = await opener(path, options.identity)
  // Before a database is touched. Standard input can be read only once.
  if (path !== STANDARD) await readable(path, async () => checkBackup(await open(), rootKeys))
  await onEmptyDatabase(config, async (db) => {
    await requireFirstTables(db)
    const restored = await readable(path, async () => restoreBackup(db, await open(), rootKeys))
    print(`Restored ${summary(restored)}`)
    print(
      `All sessions are ended. Passwords, roles and tokens are again as they were at ` +
        `${restored.header.createdAt}: what was revoked, changed or disabled after that is valid again.`
    )
    await requireIntactLog(config, db, restored.header)
  })
}

async function verify(config: Config, { argument: path, options }: Given) {
  const rootKeys = await rootKeysOf(config)
  const open = await opener(path, options.identity)
  if (path !== STANDARD) await readable(path, async () => checkBackup(await open(), rootKeys))
  await withTemporaryDatabase(async (db) => {
    const restored = await readable(path, async () => restoreBackup(db, await open(), rootKeys))
    await requireIntactLog(config, db, restored.header)
    const values = await checkValues(db, rootKeys)
    print(`The backup is right: ${summary(restored)} All ${values} values of credentials decrypt.`)
  })
}

/** A log that was changed before it was backed up is restored all the same: there may be no other backup. */
async function requireIntactLog(
  config: Config,
  db: Database,
  { auditHead: { position, hash } }: Header
): Promise<void> {
  const from = await findVerifiableHead(config, db, undefined)
  const { head, broken } = await verifyChain(db, { ...(from && { from }) })
  const isHead = head.position === position && head.hash.toString('hex') === hash
  if (isHead && !broken) return
  const reason = broken ? describe(broken, head.position) : 'its head is another one'
  throw new Error(`all rows are restored, but the audit log was not intact when it was backed up: ${reason}`)
}

function summary({ header, rows }: Restored): string {
  const { createdAt, latchkey, auditHead } = header
  return (
    `${sum(rows)} rows of ${rows.size} tables, as of ${createdAt}, Latchkey ${latchkey}. ` +
    `Audit head: ${auditHead.position} ${auditHead.hash}.`
  )
}

const sum = (rows: ReadonlyMap<string, number>) => [...rows.values()].reduce((total, one) => total + one, 0)

async function rootKeysOf({ rootKeys, dataDirectory }: Config): Promise<readonly RootKey[]> {
  const found = rootKeys ?? (await readRootKeys(dataDirectory))
  if (found) return found
  throw new ConfigError(
    'LATCHKEY_DATA_DIR',
    `has no root.keys (${dataDirectory}): put the copy of the root key there (chmod 600), or set ` +
      'LATCHKEY_ROOT_KEYS_FILE'
  )
}

/** Names the file in what is wrong with it. */
async function readable<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    const isUnread = syscall !== undefined && ['open', 'read'].includes(syscall)
    if (isUnread) throw new Error(`${path} cannot be read (${code})`)
    if (error instanceof DamagedBackup)
      throw new Error(`nothing was restored: ${path === STANDARD ? 'this backup' : path} ${error.message}`)
    throw error
  }
}

/** Runs `work` as the owner of the tables. The embedded database is made if there is none. */
async function onEmptyDatabase<T>(config: Config, work: (db: Database) => Promise<T>): Promise<T> {
  const { databaseUrl, dataDirectory: directory } = config
  if (databaseUrl !== undefined) return withDatabase(config, work, { asOwner: true, ...WITHOUT_LIMITS })
  await prepareDataDirectory(directory)
  const postgres = await startForService({ directory, notice: print })
  const db = createDatabase({ ...postgres.owner, ...WITHOUT_LIMITS })
  try {
    return await work(db)
  } finally {
    await db.destroy()
    await postgres.stop()
  }
}
