import { spawn } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { emptyDatabase, newBackupDirectory } from '../helpers/backups.ts'

// The audit log has the most rows.
t.setTimeout(600_000)

const EVENTS = 200_000
const cli = join(import.meta.dirname, '../../src/cli.ts')

/** A small heap, so that the peak memory is what the command keeps and not what V8 did not collect yet. */
const SMALL_HEAP = ['--max-old-space-size=48', '--max-semi-space-size=2']

/** Runs `latchkey`. Returns its peak memory in MB, and its duration. */
async function peakOf(env: Record<string, string>, words: string[]): Promise<{ mb: number; ms: number }> {
  const began = performance.now()
  const child = spawn(process.execPath, [...SMALL_HEAP, cli, ...words], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  let peak = 0
  const timer = setInterval(async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '')
    peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0))
  }, 20)
  const code = await new Promise((resolve) => child.on('close', resolve))
  clearInterval(timer)
  if (code !== 0) throw new Error(output)
  return { mb: Math.round(peak / 1024), ms: Math.round(performance.now() - began) }
}

t.test('memory does not grow with the database', { skip: process.platform !== 'linux' }, async (t) => {
  const service = await startTestApp(t)
  const directory = await newBackupDirectory(t)
  const env = { DATABASE_URL: service.databaseUrl, LATCHKEY_ROOT_KEYS: service.rootKeyList }
  const recipient = await identityToRecipient(await generateX25519Identity())
  const [small, large] = [join(directory, 'small'), join(directory, 'large')]
  const restoreOf = async (file: string) => {
    const empty = await emptyDatabase(t)
    return peakOf({ ...env, DATABASE_URL: empty.ownerUrl }, ['restore', file])
  }
  const before = await peakOf(env, ['backup', small])
  const restoredBefore = await restoreOf(small)
  for (let batch = 0; batch < 20; batch++)
    await sql`insert into audit_log (id, action, outcome, actor_type, actor_name, details, user_agent)
      select overlay(gen_random_uuid()::text placing left(audit_id_of(now())::text, 13) from 1)::uuid,
        'credential.revealed', 'allowed', 'user', md5(n::text), jsonb_build_object('number', n),
        repeat(md5(random()::text), 16)
      from generate_series(1, ${EVENTS / 20}::int) n`.execute(service.db)
  const after = await peakOf(env, ['backup', large])
  const encrypted = await peakOf(env, ['backup', join(directory, 'encrypted'), '--recipient', recipient])
  const restoredAfter = await restoreOf(large)
  t.comment({ before, after, encrypted, restoredBefore, restoredAfter, size: (await stat(large)).size })
  // The events have 170 MB.
  for (const { mb } of [after, encrypted]) t.ok(mb < before.mb + 70, `${before.mb} MB, then ${mb} MB`)
  t.ok(restoredAfter.mb < restoredBefore.mb + 70, `${restoredBefore.mb} MB, then ${restoredAfter.mb} MB`)
})
