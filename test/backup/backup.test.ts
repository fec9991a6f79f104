import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { sealEvents } from '../../src/audit/chain.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import {
  contentOf,
  emptyDatabase,
  newBackupDirectory,
  onDatabase,
  partsIn,
  rulesOf,
  tablesIn
} from '../helpers/backups.ts'
import { runCli } from '../helpers/cli.ts'
import { newCredential, newProject, newType, reveal } from '../helpers/fixtures.ts'
import { startReplica } from '../helpers/replica.ts'
import { newToken } from '../helpers/tokens.ts'

t.setTimeout(300_000)

/** Starts a service and fills the tables that requests of callers can fill. */
async function startFilled(t: Test) {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const type = await newType(ann)
  const projectId = await newProject(ann)
  const credential = await newCredential(ann, type, {
    // Characters that COPY escapes, and non-ASCII characters.
    description: 'a "quoted" \\ \\. \t text\nof Zoë 🐢',
    projectIds: [projectId]
  })
  await reveal(ann, credential.id)
  return { service, ann, type, projectId, credential }
}

/** Takes a backup and restores it into a new database. */
async function takeAndRestore(t: Test, service: TestApp) {
  const file = join(await newBackupDirectory(t), 'latchkey.backup')
  const taken = await onDatabase(service.databaseUrl, service)('backup', file)
  t.match(taken, { code: 0, out: '', err: /^Backed up \d+ rows of \d+ tables to / })
  const copy = await emptyDatabase(t)
  const restored = await onDatabase(copy.ownerUrl, service)('restore', file)
  t.match(restored, { code: 0, err: '', out: /^Restored \d+ rows/ })
  return { file, taken, restored, copy }
}

const headOf = (text: string) => /Audit head: (\d+ [0-9a-f]{64})/.exec(text)?.[1]

t.test('a restored database serves the same credentials to the same users', async (t) => {
  const { service, ann, credential } = await startFilled(t)
  const token = await newToken(ann, ['credentials:reveal'])
  await sealEvents(service.db)
  const before = await contentOf(service.db)
  const { taken, restored, copy } = await takeAndRestore(t, service)

  t.same(Object.keys(before), await tablesIn(copy.db))
  const after = await contentOf(copy.db)
  const changed = Object.keys(before).filter((table) => before[table] !== after[table])
  // Sessions have ended, and the restore was recorded: the other two are audit_log and audit_unsealed.
  t.ok(changed.includes('sessions') && changed.length === 3, changed.join())
  t.match(after['sessions'], /^0 /)
  t.same(await rulesOf(copy.db), await rulesOf(service.db), 'triggers, constraints and indexes')

  t.ok(headOf(taken.err))
  t.equal(headOf(restored.out), headOf(taken.err))
  t.match(restored.out, /^All sessions have ended\. .* as they were at \d{4}-.*Z: .* is valid again\.$/m)
  const verified = await onDatabase(copy.ownerUrl, service)('audit', 'verify')
  t.match(verified, { code: 0, out: /events are intact, 1 are not sealed yet/ })
  t.equal(/Head: (.*)/.exec(verified.out)?.[1], headOf(taken.err))

  const replica = await startReplica(t, { ...service, databaseUrl: copy.ownerUrl })
  t.equal((await replica.client(ann).get('/api/v1/session')).status, 401, 'the session has ended')
  t.equal((await ann.get('/api/v1/session')).status, 200, 'the session on the original continues')
  const again = replica.client()
  await again.signIn(ann.person)
  t.match(await reveal(again, credential.id), { password: 'hunter2 hunter2' })
  const machine = replica.client()
  machine.bearer = token.bearer
  t.match(await reveal(machine, credential.id), { host: 'mail.example.org' })
  const admin = replica.client()
  await admin.signIn(service.admin.person)
  const events = await admin.get('/api/v1/audit-events?action=database.restored')
  t.match(events.json.data ?? events.json, [{ actor: { type: 'system' } }])
  const { rows } = await sql`select from audit_log e where action = 'database.restored'
    and exists (select from users u where u.xmin = e.xmin)`.execute(copy.db)
  t.equal(rows.length, 1, 'in the transaction that restored the rows')
})

t.test('a backup fails if the reader of standard output ends too early', async (t) => {
  const { service } = await startFilled(t)
  const env = { DATABASE_URL: service.databaseUrl, LATCHKEY_ROOT_KEYS: service.rootKeyList }
  t.match(await runCli(env, ['backup', '-'], { reads: false }), {
    code: 1,
    err: 'latchkey: the reader of standard output ended too early\n'
  })
})

t.test('a backup contains every table, and there are no sequences', async (t) => {
  const { service } = await startFilled(t)
  const { taken } = await takeAndRestore(t, service)
  t.match(taken.err, ` rows of ${(await tablesIn(service.db)).length} tables `)
  const { rows } = await sql`select from pg_class
    where relkind = 'S' and relnamespace = 'public'::regnamespace`.execute(service.db)
  t.equal(rows.length, 0, 'a sequence would have to be set after a restore')
})

t.test('a backup during writes is a consistent snapshot', async (t) => {
  const { service, ann, type } = await startFilled(t)
  let isDone = false
  const writing = (async () => {
    while (!isDone) await newCredential(ann, type)
  })()
  const { copy } = await takeAndRestore(t, service).finally(() => {
    isDone = true
  })
  await writing
  const { rows } = await sql<{ credentials: number; events: number; values: number; totals: number }>`
    select (select count(*) from credentials) as credentials,
      (select count(*) from audit_events where action = 'credential.created') as events,
      (select count(*) from credential_keys) as values,
      (select sum(total) from credential_totals) as totals`.execute(copy.db)
  const { credentials, events, values, totals } = rows[0]!
  t.ok(credentials > 1)
  t.same([events, values, totals], [credentials, 2 * credentials, credentials])
})

t.test('the file is private and complete', async (t) => {
  const { service } = await startFilled(t)
  const directory = await newBackupDirectory(t)
  const file = join(directory, 'latchkey.backup')
  const latchkey = onDatabase(service.databaseUrl, service)
  await writeFile(file, 'what was there before', { mode: 0o644 })
  t.match(await latchkey('backup', file), { code: 0 })
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.match(await readFile(file, 'latin1'), /^latchkey backup 1\n/)

  t.test('and is not changed if the next backup fails', async (t) => {
    const whole = await readFile(file)
    const elsewhere = await latchkey('backup', join(directory, 'not-there/latchkey.backup'))
    t.match(elsewhere, { code: 1, out: '', err: /^latchkey: .*not-there cannot be written to \(ENOENT\)\n$/ })
    t.match(await latchkey('backup', directory), { code: 1, err: /is not a file\n$/ })
    t.same(await readFile(file), whole)
    t.same(await partsIn(directory), [])
  })
})
