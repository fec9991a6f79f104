import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import t from 'tap'
import { createTestDatabase } from './helpers/database.ts'
import { blocksOf } from './helpers/doc-blocks.ts'
import { freePort } from './helpers/free-port.ts'
import { age } from './helpers/keys.ts'
import { Shell } from './helpers/shell.ts'

// Starts the service a dozen times.
t.setTimeout(300_000)

const root = join(import.meta.dirname, '..')
const ADMIN = { email: 'admin@example.org', password: 'correct horse battery' }

/** Shell functions that the commands of the document use. */
const FUNCTIONS = `
latchkey() { node "${root}/src/cli.ts" "$@"; }
start_service() {
  : > service.log
  node "${root}/src/main.js" >> service.log 2>&1 < /dev/null &
  echo $! > service.pid
  for _ in $(seq 300); do
    if grep -q 'listens on' service.log; then return; fi
    if ! kill -0 "$(cat service.pid)" 2> /dev/null; then cat service.log; return 1; fi
    sleep 0.2
  done
  return 1
}
stop_service() {
  kill "$(cat service.pid)"
  while kill -0 "$(cat service.pid)" 2> /dev/null; do sleep 0.1; done
}
restart_service() { stop_service; start_service; }
`
t.test('the commands in docs/operations/keys.md work', async (t) => {
  const text = await readFile(join(root, 'docs/operations/keys.md'), 'utf8')
  const blocks = blocksOf(text).filter(({ language }) => language === 'sh')
  t.ok(blocks.length >= 10, `${blocks.length} blocks`)

  const [database, restored] = [
    await createTestDatabase({ empty: true }),
    await createTestDatabase({ empty: true })
  ]
  const directory = t.testdir()
  const cwd = join(directory, 'here')
  await mkdir(cwd)
  const metricsPort = await freePort()
  const shell = new Shell(t, directory, cwd, {
    DATABASE_URL: database.url,
    RESTORED_URL: restored.url,
    LATCHKEY_ADMIN_EMAIL: ADMIN.email,
    LATCHKEY_ADMIN_PASSWORD: ADMIN.password,
    PORT: '0',
    LOG_LEVEL: 'warn',
    METRICS_PORT: String(metricsPort),
    METRICS_URL: `http://127.0.0.1:${metricsPort}/metrics`
  })
  await shell.run(FUNCTIONS)
  try {
    let client: Awaited<ReturnType<typeof signIn>> | undefined
    let id = ''
    for (const { heading, text: script } of blocks) {
      if (script.includes('keys destroy')) await age({ db: database.db }, 1)
      const { code, out, err, failed } = await shell.run(script)
      const well = t.same({ code, failed }, { code: 0, failed: [] }, `${heading}: ${script}${out}${err}`)
      if (!well) t.comment(await readFile(join(cwd, 'service.log'), 'utf8').catch(() => ''))
      if (!well) return
      if (/start_service/.test(script)) client = await signIn(await originIn(cwd))
      if (client && !id) id = await store(client)
      if (client)
        t.equal(await secretOf(client, id), 'correct battery staple', `${heading}: the value can be read`)
      if (script.includes('keys destroy')) {
        const { rows } = await sql`select number from data_keys`.execute(database.db)
        t.same(rows, [{ number: 2 }, { number: 3 }])
      }
    }
    const { rows } = await sql<{ fingerprint: string }>`
      select distinct root_key_fingerprint as fingerprint from data_keys`.execute(restored.db)
    t.equal(rows.length, 1, 'the restored database has one root key')
    t.equal((await sql`select 1 from credential_keys`.execute(restored.db)).rows.length, 1)
  } finally {
    await shell.run('stop_service')
    await database.drop()
    await restored.drop()
  }
})

async function originIn(cwd: string): Promise<string> {
  return /listens on (http:\S+)/.exec(await readFile(join(cwd, 'service.log'), 'utf8'))![1]!
}

type Call = (method: string, path: string, body?: object) => Promise<{ id: string; [key: string]: unknown }>

async function signIn(origin: string): Promise<Call> {
  let cookie = ''
  const call: Call = async (method, path, body) => {
    const headers = { 'content-type': 'application/json', cookie }
    const answer = await fetch(`${origin}/api/v1${path}`, {
      method,
      headers,
      ...(body && { body: JSON.stringify(body) })
    })
    cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? cookie
    return answer.json() as ReturnType<Call>
  }
  await call('POST', '/session', ADMIN)
  return call
}

async function store(call: Call): Promise<string> {
  const type = await call('POST', '/credential-types', {
    typeName: 'one-secret',
    fields: [{ fieldName: 'secret', fieldLabel: 'Secret', fieldType: 'password' }]
  })
  const [field] = type['fields'] as { id: string }[]
  const { id } = await call('POST', '/app-credentials', {
    credentialName: 'Kept',
    credentialTypeId: type.id,
    keys: [{ fieldId: field!.id, keyValue: 'correct battery staple' }]
  })
  return id
}

async function secretOf(call: Call, id: string): Promise<unknown> {
  const { keys } = await call('POST', `/app-credentials/${id}/reveal`, {})
  return (keys as { keyValue: unknown }[] | undefined)?.[0]?.keyValue
}
