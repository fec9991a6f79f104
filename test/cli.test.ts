import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { sql } from 'kysely'
import t from 'tap'
import { newRootKey } from '../src/crypto/root-keys.ts'
import { sealBatch } from '../src/features/audit/chain.ts'
import { startTestApp } from './helpers/app.ts'
import { createTestDatabase } from './helpers/database.ts'
import { newProject } from './helpers/things.ts'

const cli = join(import.meta.dirname, '../src/cli.ts')
const { PATH = '' } = process.env

function latchkey(
  databaseUrl: string,
  ...words: string[]
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const env = { PATH, DATABASE_URL: databaseUrl, LATCHKEY_ROOT_KEYS: newRootKey('cli') }
    const child = spawn(process.execPath, [cli, ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk) => (out += chunk))
    child.stderr.on('data', (chunk) => (err += chunk))
    child.on('close', (code) => resolve({ code, out, err }))
  })
}

t.test(
  'latchkey migrate brings an empty database to the newest tables, and does nothing twice',
  async (t) => {
    const database = await createTestDatabase({ empty: true })
    t.teardown(database.drop)
    const [one, two] = await Promise.all([
      latchkey(database.url, 'migrate'),
      latchkey(database.url, 'migrate')
    ])
    t.same([one.code, two.code], [0, 0])
    t.same(
      [one.out, two.out].filter((out) => out === 'Nothing to do.\n').length,
      1,
      'two at once: one does it'
    )
    t.equal((await latchkey(database.url, 'migrate')).out, 'Nothing to do.\n')
  }
)

t.test(
  'latchkey audit verify finds the first event that is not as it was, and export writes all',
  async (t) => {
    const service = await startTestApp(t)
    for (let i = 0; i < 3; i++) await newProject(service.admin)
    await sealBatch(service.db)
    const right = await latchkey(service.databaseUrl, 'audit', 'verify')
    t.equal(right.code, 0, right.err)
    const head = (await service.admin.get('/api/v1/audit-events/head')).json
    t.match(right.out, `Head: ${head.position} ${head.hash}`)

    const exported = await latchkey(service.databaseUrl, 'audit', 'export')
    const events = exported.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    t.equal(events.length, head.position)
    t.match(events.at(-1), { action: 'project.created', position: head.position, hash: head.hash })

    await service.db.transaction().execute(async (trx) => {
      await sql`set local session_replication_role = replica`.execute(trx)
      await sql`update audit_events set outcome = 'denied' where position = 2`.execute(trx)
    })
    const broken = await latchkey(service.databaseUrl, 'audit', 'verify')
    t.equal(broken.code, 1)
    t.match(broken.err, /^latchkey: event [0-9a-f-]{36} at position 2 of the audit chain is changed/)
  }
)

t.test('a command that there is not is answered with those that there are', async (t) => {
  const { code, err } = await latchkey('postgresql://nobody@localhost/none', 'nonsense')
  t.equal(code, 1)
  for (const command of ['migrate', 'audit verify', 'audit export', 'openapi']) t.match(err, command)
})
