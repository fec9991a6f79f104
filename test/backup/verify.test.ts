import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { sealEvents } from '../../src/audit/chain.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { startTestApp } from '../helpers/app.ts'
import { emptyDatabase, newBackupDirectory, onDatabase } from '../helpers/backups.ts'
import { newCredential, newType } from '../helpers/fixtures.ts'

t.setTimeout(300_000)

/** Starts a service. `verify` takes a backup of it and verifies the backup. */
async function startVerifiable(t: Test) {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const type = await newType(ann)
  const credential = await newCredential(ann, type)
  await newCredential(ann, type)
  await sealEvents(service.db)
  const file = join(await newBackupDirectory(t), 'latchkey.backup')
  const latchkey = onDatabase(service.databaseUrl, service)
  return {
    service,
    credential,
    file,
    async verify() {
      t.match(await latchkey('backup', file), { code: 0 })
      return latchkey('backup', 'verify', file)
    }
  }
}

const leftovers = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('latchkey-verify-'))

t.test('backup verify restores the backup and checks its contents', async (t) => {
  const { service, file, verify } = await startVerifiable(t)
  const before = await leftovers()
  const verified = await verify()
  t.match(verified, { code: 0, err: '' })
  t.match(
    verified.out,
    /^The backup is intact: \d+ rows of \d+ tables, as of .*Audit head: \d+ [0-9a-f]{64}\./
  )
  t.match(verified.out, /\. All 4 values of credentials decrypt\.\n$/)
  t.same(await leftovers(), before)
  const other = await onDatabase(service.databaseUrl, { rootKeyList: newRootKey('new') })(
    'backup',
    'verify',
    file
  )
  t.match(other, { code: 1, out: '', err: /this backup requires the root key/ })
})

t.test('backup verify finds a value that does not decrypt', async (t) => {
  const { service, credential, verify } = await startVerifiable(t)
  await sql`update credential_keys set value = set_byte(value, octet_length(value) - 1,
      get_byte(value, octet_length(value) - 1) # 1) where credential_id = ${credential.id}`.execute(
    service.db
  )
  const { code, out, err } = await verify()
  t.same([code, out], [1, ''])
  t.equal(err, `latchkey: a value of the credential ${credential.id} cannot be decrypted\n`)
})

t.test('backup verify finds an audit log that was changed before the backup', async (t) => {
  const { service, file, verify } = await startVerifiable(t)
  await sql`alter table audit_events disable trigger user`.execute(service.db)
  await sql`update audit_events set actor_name = 'nobody' where action = 'credential.created'`.execute(
    service.db
  )
  await sql`alter table audit_events enable trigger user`.execute(service.db)
  const { code, out, err } = await verify()
  t.same([code, out], [1, ''])
  t.match(
    err,
    /^latchkey: all rows were restored, but the audit log was not intact when it was backed up: event /
  )

  const empty = await emptyDatabase(t)
  const restored = await onDatabase(empty.ownerUrl, service)('restore', file)
  t.match(restored, { code: 1, err: /all rows were restored, but/ })
  const { rows } = await sql`select from credentials`.execute(empty.db)
  t.equal(rows.length, 2, 'such a backup can still be restored')
})

t.test('a signal leaves no temporary files', async (t) => {
  const { service, file, verify } = await startVerifiable(t)
  t.match(await verify(), { code: 0 })
  const cli = join(import.meta.dirname, '../../src/cli.ts')
  // Interrupts it while initdb runs, and while Postgres runs.
  for (const made of [/\/postgres\.new-[^/]*\/base$/, /\/postgres\/postmaster\.pid$/]) {
    const directory = await newBackupDirectory(t)
    const env = { ...process.env, TMPDIR: directory, LATCHKEY_ROOT_KEYS: service.rootKeyList }
    const child = spawn(process.execPath, [cli, 'backup', 'verify', file], { env, stdio: 'ignore' })
    const ended = once(child, 'exit')
    const isMade = async () => {
      const names = await readdir(directory, { recursive: true }).catch(() => [])
      return names.some((name) => made.test(name)) || child.exitCode !== null
    }
    while (!(await isMade())) await sleep(10)
    child.kill('SIGINT')
    t.same(await ended, [130, null], String(made))
    t.same(await readdir(directory), [])
  }
})
