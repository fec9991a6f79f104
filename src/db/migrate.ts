import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { type Database, type Transaction, tryLockName } from './database.ts'
import { isLockTimeout, isRetryable } from './errors.ts'
import { currentRole, grantTo } from './grants.ts'
import { MIGRATIONS, type MigrationFile, type Notice, readMigrations } from './migration-files.ts'
import { createTables, isOfFirstRelease, readState, record } from './migration-records.ts'

/** Requests queue behind a migration that waits for a lock, so it gives up after this time and retries. */
const LOCK_TIMEOUT_MS = 500
const LOCK_PAUSE_MS = 2_000
/** The longest pause between checks whether another process still migrates. */
const TURN_PAUSE_MS = 1_000
/** How often a wait is reported. */
const REPEAT_MS = 60_000

/**
 * Settings of a migration's transaction. With these keepalives, Postgres releases the lock about 30 s after
 * the migrating machine disappears.
 */
const SETTINGS = {
  lock_timeout: `${LOCK_TIMEOUT_MS}ms`,
  statement_timeout: '0',
  transaction_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '4'
}

/** Options of the connections for `migrate`: an index that is created concurrently takes long, and waits. */
export const WITHOUT_LIMITS = { query_timeout: 0, statement_timeout: '0', lock_timeout: '0' }

export interface MigrateOptions {
  /** Called with lines for the operator. */
  notice?: Notice | undefined
  /** The directories of the migrations. */
  folders?: readonly string[]
  /** Runs only these migrations, for the tables of an earlier version. */
  only?: ReadonlySet<string> | undefined
}

/**
 * Runs the pending migrations one by one and returns their names. If one fails, throws its error: the earlier
 * ones stay, and the next call continues with it. Processes take turns: a turn is a transaction that
 * holds a lock and runs one migration. Waits without a limit for its turn and for locks on tables. `db` needs
 * two connections for writes, `WITHOUT_LIMITS`.
 */
export function migrate(db: Database, options: MigrateOptions = {}): Promise<string[]> {
  return runPending(db, options)
}

/** The same, and grants `role` the rights in `GRANTS`. `db` must be connected as the owner of the tables. */
export function migrateFor(db: Database, role: string, options: MigrateOptions = {}): Promise<string[]> {
  return runPending(db, options, role)
}

/** The same for the role of `service`, which is connected to the same database. */
export async function migrateForRoleOf(
  service: Database,
  db: Database,
  options: MigrateOptions = {}
): Promise<string[]> {
  const [one, other] = await Promise.all([currentRole(service), currentRole(db)])
  if (one.database !== other.database)
    throw new Error(
      `LATCHKEY_MIGRATION_DATABASE_URL has the database ${other.database}, ` +
        `but DATABASE_URL has ${one.database}`
    )
  return migrateFor(db, one.role, options)
}

async function runPending(
  db: Database,
  { notice = () => {}, folders = [MIGRATIONS], only }: MigrateOptions,
  role?: string
): Promise<string[]> {
  const files = (await readMigrations(folders)).filter(({ name }) => only?.has(name) ?? true)
  const ran: string[] = []
  for (;;) {
    const { next, rest, later, lines } = await inTurn(db, notice, async (turn) => {
      await requireUtf8(turn)
      const lines: string[] = []
      const { pending, later } = await readState(turn, files)
      const [next, ...rest] = pending
      if (next) {
        await run(next, { turn, db, notice, afterCommit: (line) => lines.push(line) })
        await record(turn, next)
      }
      // With each migration, because triggers may write to new tables as the role of running replicas.
      if (role !== undefined && !rest.some(isOfFirstRelease)) {
        await createTables(turn)
        await grantTo(turn, role, { revoke: later.length === 0 })
      }
      return { next, rest, later, lines }
    })
    for (const line of lines) notice(line)
    if (next) ran.push(next.name)
    if (rest.length > 0) continue
    if (later.length > 0) notice('A later version has migrated this database. This version works on it.')
    return ran
  }
}

/** Runs `work` in a transaction in which no other process migrates. */
async function inTurn<T>(db: Database, notice: Notice, work: (turn: Transaction) => Promise<T>): Promise<T> {
  const report = reporter(notice)
  for (let pause = 50; ; pause = Math.min(2 * pause, TURN_PAUSE_MS)) {
    const done = await retrying(report, () =>
      inLongTransaction(
        db,
        // Without waiting: a waiting statement has a snapshot, and creating an index concurrently waits for
        // all snapshots.
        async (turn) => (await tryLockName(turn, 'migrate')) && { result: await work(turn) }
      )
    )
    if (done) return done.result
    // Not at once: each start takes a short turn, even if nothing is pending.
    if (pause === TURN_PAUSE_MS) report('Waiting for another process to finish migrating the database…')
    await sleep(pause)
  }
}

/** Runs `work` again while others hold a lock that it needs, or after a deadlock with them. */
async function retrying<T>(report: Notice, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const reason = (error as Error).cause ?? error
      if (!isLockTimeout(reason) && !isRetryable(reason)) throw error
      report(`Waiting for other transactions to end: ${(error as Error).message}`)
      await sleep(LOCK_PAUSE_MS)
    }
  }
}

/** Returns a notice that repeats the same line only after `REPEAT_MS`. */
function reporter(notice: Notice): Notice {
  let last = { line: '', at: 0 }
  return (line) => {
    const now = performance.now()
    if (line === last.line && now < last.at + REPEAT_MS) return
    last = { line, at: now }
    notice(line)
  }
}

/** Runs `work` in a transaction that may take long, and waits for locks only briefly. */
function inLongTransaction<T>(db: Database, work: (trx: Transaction) => Promise<T>): Promise<T> {
  return db.transaction().execute(async (trx) => {
    // Not every version of Postgres has all of them.
    await sql`select set_config(name, settings.value, true) from pg_settings join unnest(
      ${Object.keys(SETTINGS)}::text[], ${Object.values(SETTINGS)}::text[]) settings(name, value)
      using (name)`.execute(trx)
    return work(trx)
  })
}

interface Context {
  /** Is committed with the record of the migration. */
  turn: Transaction
  /** For statements outside of a transaction, or in several transactions. */
  db: Database
  notice: Notice
  afterCommit: Notice
}

/** Throws an error that names the migration. */
async function run({ name, up, indexes, batch }: MigrationFile, context: Context): Promise<void> {
  const { turn, db, notice, afterCommit } = context
  const began = performance.now()
  const timer = setInterval(() => {
    notice(`Migration ${name} has been running for ${Math.round((performance.now() - began) / 1_000)} s.`)
  }, REPEAT_MS)
  try {
    await up?.(turn, afterCommit)
    for (const statement of indexes ?? []) await createIndex(db, statement)
    if (batch) await runBatches(db, batch, reporter(notice))
  } catch (error) {
    throw new Error(`migration ${name}: ${(error as Error).message}`, { cause: error })
  } finally {
    clearInterval(timer)
  }
}

/** Creates an index unless it exists. Drops an invalid one first, which an interruption leaves. */
async function createIndex(db: Database, statement: string): Promise<void> {
  const name = /^create (?:unique )?index concurrently ([a-z0-9_]+) on /.exec(statement)?.[1]
  if (name === undefined) throw new Error(`this is not "create index concurrently NAME on …": ${statement}`)
  const drop = sql`drop index concurrently if exists ${sql.id(name)}`
  const { rows } = await sql<{ valid: boolean }>`
    select indisvalid as valid from pg_index where indexrelid = to_regclass(${name})`.execute(db)
  if (rows[0]?.valid) return
  if (rows[0]) await drop.execute(db)
  try {
    await sql.raw(statement).execute(db)
  } catch (error) {
    // For example duplicates. An invalid unique index would still reject new ones.
    await drop.execute(db).catch(() => {})
    throw error
  }
}

/** Runs the batches. Pauses after each for as long as it took, so that requests get their share. */
async function runBatches(
  db: Database,
  batch: NonNullable<MigrationFile['batch']>,
  report: Notice
): Promise<void> {
  let next: string | undefined
  do {
    const began = performance.now()
    next = await retrying(report, () => inLongTransaction(db, (trx) => batch(trx, next)))
    await sleep(performance.now() - began)
  } while (next !== undefined)
}

/** Throws if the database cannot store all of Unicode. */
async function requireUtf8(trx: Transaction): Promise<void> {
  const { rows } = await sql<{ encoding: string }>`
    select current_setting('server_encoding') as encoding`.execute(trx)
  const [{ encoding }] = rows as [{ encoding: string }]
  if (encoding === 'UTF8') return
  throw new Error(
    `the database has the encoding ${encoding}, but must have UTF8: create it with ` +
      `"create database … template template0 encoding 'UTF8' locale 'C'"`
  )
}
