import { stat } from 'node:fs/promises'
import { verifyChain } from '../audit/verify.ts'
import { encryption } from '../backup/age.ts'
import { opener, STANDARD, writeTo } from '../backup/file.ts'
import { DamagedBackup } from '../backup/frames.ts'
import type { Header } from '../backup/manifest.ts'
import { checkBackup, type Restored, restoreBackup } from '../backup/restore.ts'
import { withTemporaryDatabase } from '../backup/temporary.ts'
import { writeBackup } from '../backup/write.ts'
import type { Config } from '../config.ts'
import { createDatabase, type Database } from '../db/database.ts'
import { requireFirstTables } from '../db/first-tables.ts'
import { WITHOUT_LIMITS } from '../db/migrate.ts'
import { prepareDataDirectory } from '../embedded/data-directory.ts'
import { startForService } from '../embedded/shared.ts'
import { checkValues } from '../features/keys/check-values.ts'
import { print } from '../terminal.ts'
import { describe } from './audit.ts'
import { findVerifiableHead } from './audit-archive.ts'
import { type Command, type CommandInput, rootKeysOf, withDatabase } from './command.ts'

export const backupCommands: Record<string, Command> = {
  // Before `backup`, because its name starts with that.
  'backup verify': {
    description: 'restore a backup into a temporary database, and check the audit log and every value',
    details: `Changes nothing in your database. \`-\` reads standard input. See
[backups](../operations/backups.md).`,
    example: 'latchkey backup verify latchkey.backup',
    argument: '<file>',
    options: ['identity'],
    run: verify
  },
  backup: {
    description: 'write all data to a file, or to standard output (-), while the service runs',
    details: `The file has mode 0600 and appears only when it is complete; an existing file is replaced. A
summary goes to standard error. Without \`--recipient\`, values are encrypted in the backup but names are
not. You need the root key to restore it. See [backups](../operations/backups.md).`,
    example: 'latchkey backup latchkey.backup',
    argument: '<file>',
    options: ['recipient'],
    run: backUp
  },
  restore: {
    description: 'restore a backup into an empty database, and end all sessions',
    details: `Stop the service first. \`-\` reads standard input. All rows are restored, or none.
Without \`DATABASE_URL\`, the embedded database is created. See
[restore](../operations/backups.md#restore).`,
    example: 'latchkey restore latchkey.backup',
    argument: '<file>',
    options: ['identity'],
    run: restore
  }
}

async function backUp(config: Config, { argument: path, options }: CommandInput) {
  if (path === STANDARD && process.stdout.isTTY)
    throw new Error('a backup cannot be written to a terminal: name a file, or redirect standard output')
  const encrypt = options.recipient && (await encryption(options.recipient))
  const rootKeys = await rootKeysOf(config)
  const { header, rows } = await writeTo(path, (write) =>
    withDatabase(
      config,
      (db) => writeBackup(db, rootKeys, async (bytes) => write(encrypt ? await encrypt(bytes) : bytes)),
      { asOwner: true, ...WITHOUT_LIMITS }
    )
  )
  const { position, hash } = header.auditHead
  const to = path === STANDARD ? '' : ` to ${path} (${(await stat(path)).size} bytes)`
  // Standard output may be the backup.
  process.stderr.write(
    `Backed up ${sum(rows)} rows of ${rows.size} tables${to}, as of ${header.createdAt}. ` +
      `Audit head: ${position} ${hash}. Needs the root key ${header.rootKeys.join(', ')}.\n`
  )
}

async function restore(config: Config, { argument: path, options }: CommandInput) {
  const rootKeys = await rootKeysOf(config)
  const open = await opener(path, options.identity)
  // Before the database is touched. Standard input can be read only once.
  if (path !== STANDARD) await readable(path, async () => checkBackup(await open(), rootKeys))
  await onEmptyDatabase(config, async (db) => {
    await requireFirstTables(db)
    const restored = await readable(path, async () => restoreBackup(db, await open(), rootKeys))
    print(`Restored ${summary(restored)}`)
    print(
      `All sessions have ended. Passwords, roles and tokens are as they were at ` +
        `${restored.header.createdAt}: anything revoked, changed or disabled later is valid again.`
    )
    await requireIntactLog(config, db, restored.header)
  })
}

async function verify(config: Config, { argument: path, options }: CommandInput) {
  const rootKeys = await rootKeysOf(config)
  const open = await opener(path, options.identity)
  if (path !== STANDARD) await readable(path, async () => checkBackup(await open(), rootKeys))
  await withTemporaryDatabase(async (db) => {
    const restored = await readable(path, async () => restoreBackup(db, await open(), rootKeys))
    await requireIntactLog(config, db, restored.header)
    const values = await checkValues(db, rootKeys)
    print(`The backup is intact: ${summary(restored)} All ${values} values of credentials decrypt.`)
  })
}

/** Throws after the restore: a backup whose audit log was changed may be the only one. */
async function requireIntactLog(
  config: Config,
  db: Database,
  { auditHead: { position, hash } }: Header
): Promise<void> {
  const from = await findVerifiableHead(config, db, undefined)
  const { head, broken } = await verifyChain(db, { ...(from && { from }) })
  const isHead = head.position === position && head.hash.toString('hex') === hash
  if (isHead && !broken) return
  const reason = broken ? describe(broken, head.position) : 'its head differs'
  throw new Error(`all rows were restored, but the audit log was not intact when it was backed up: ${reason}`)
}

function summary({ header, rows }: Restored): string {
  const { createdAt, latchkey, auditHead } = header
  return (
    `${sum(rows)} rows of ${rows.size} tables, as of ${createdAt}, Latchkey ${latchkey}. ` +
    `Audit head: ${auditHead.position} ${auditHead.hash}.`
  )
}

const sum = (rows: ReadonlyMap<string, number>) => [...rows.values()].reduce((total, one) => total + one, 0)

/** Adds the name of the file to its errors. */
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

/** Runs `work` as the owner of the tables. Creates the embedded database if there is none. */
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
