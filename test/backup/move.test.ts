import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { emptyDatabase } from '../helpers/backups.ts'
import { runCli } from '../helpers/cli.ts'
import { json, newDirectory, signIn, startEmbeddedService } from '../helpers/embedded-service.ts'
import { eventually } from '../helpers/eventually.ts'
import { startProcess } from '../helpers/process.ts'

// Many starts, one after the other.
t.setTimeout(300_000)

const EMAIL = 'admin@latchkey.local'
const VALUE = 'hunter2 hunter2'

const HEAD = /[Hh]ead: (\d+ [0-9a-f]{64})/
const headOf = (text: string) => HEAD.exec(text)?.[1]

/** Signs in, creates a credential and returns its id. */
async function addCredential(origin: string, password: string): Promise<string> {
  const { cookie } = await signIn(origin, EMAIL, password)
  const post = async (path: string, body: object) => {
    const answer = await fetch(`${origin}/api/v1/${path}`, {
      method: 'POST',
      headers: { ...json, cookie },
      body: JSON.stringify(body)
    })
    if (answer.status !== 201) throw new Error(await answer.text())
    return (await answer.json()) as { id: string; fields: { id: string }[] }
  }
  const type = await post('credential-types', {
    typeName: 'mailbox',
    fields: [{ fieldName: 'password', fieldLabel: 'Password', fieldType: 'password' }]
  })
  const { id } = await post('app-credentials', {
    credentialName: 'mail',
    credentialTypeId: type.id,
    keys: [{ fieldId: type.fields[0]!.id, keyValue: VALUE }]
  })
  return id
}

async function requireSame(t: Test, origin: string, password: string, id: string): Promise<void> {
  const { status, cookie } = await signIn(origin, EMAIL, password)
  t.equal(status, 200, 'signs in')
  const answer = await fetch(`${origin}/api/v1/app-credentials/${id}/reveal`, {
    method: 'POST',
    headers: { ...json, cookie },
    body: '{}'
  })
  t.match(await answer.json(), { keys: [{ keyValue: VALUE }] })
}

async function startOn(t: Test, cwd: string, env: Record<string, string>) {
  const service = startProcess(t, cwd, { LOG_LEVEL: 'silent', ...env })
  const [, origin = ''] = await service.printed(/listens on (http:\S+)/)
  return {
    origin,
    async stop() {
      service.child.kill('SIGINT')
      t.equal(await service.exited, 0, service.output())
    }
  }
}

t.test('from the embedded database to an external one, and back', async (t) => {
  const cwd = await newDirectory(t)
  const latchkey = (env: Record<string, string>, ...words: string[]) => runCli(env, words, { cwd })
  const service = await startEmbeddedService(t, cwd)
  const password = (await readFile(join(cwd, 'data/admin.password'), 'utf8')).trim()
  const id = await addCredential(service.origin, password)
  await eventually(async () => {
    return / 0 are not sealed/.test((await latchkey({}, 'audit', 'verify')).out)
  }, 'all events are sealed')

  const there = await latchkey({}, 'backup', 'there.backup')
  t.match(there, { code: 0, err: /^Backed up/ }, 'while the service runs')
  t.match(await latchkey({}, 'restore', 'there.backup'), { code: 1, err: /is in use by process/ })
  await service.stop()

  const database = await emptyDatabase(t)
  const env = { DATABASE_URL: database.ownerUrl, LATCHKEY_ROOT_KEYS_FILE: join(cwd, 'data/root.keys') }
  const moved = await latchkey(env, 'restore', 'there.backup')
  t.match(moved, { code: 0, err: '' })
  t.equal(headOf(moved.out), headOf(there.err))
  t.equal(headOf((await latchkey(env, 'audit', 'verify')).out), headOf(there.err))
  const own = await startOn(t, cwd, env)
  await requireSame(t, own.origin, password, id)
  const back = await latchkey(env, 'backup', 'back.backup')
  t.match(back, { code: 0 }, 'while the service runs')
  await own.stop()

  const home = await newDirectory(t)
  const inHome = (...words: string[]) => runCli({}, words, { cwd: home })
  const refused = await inHome('restore', join(cwd, 'back.backup'))
  t.match(refused, { code: 1, err: /^latchkey: LATCHKEY_DATA_DIR contains no root\.keys/ })
  await mkdir(join(home, 'data'), { mode: 0o700 })
  await copyFile(join(cwd, 'data/root.keys'), join(home, 'data/root.keys'))
  const restored = await inHome('restore', join(cwd, 'back.backup'))
  t.match(restored, { code: 0, err: '' })
  t.equal(headOf(restored.out), headOf(back.err))
  const again = await startEmbeddedService(t, home)
  await requireSame(t, again.origin, password, id)
  await again.stop()
})

t.test('a database of another major version of Postgres', async (t) => {
  const cwd = await newDirectory(t)
  const latchkey = (...words: string[]) => runCli({}, words, { cwd })
  const service = await startEmbeddedService(t, cwd)
  const password = (await readFile(join(cwd, 'data/admin.password'), 'utf8')).trim()
  const id = await addCredential(service.origin, password)
  // Takes the backup that the error message below requires.
  t.match(await latchkey('backup', 'latchkey.backup'), { code: 0 })
  await service.stop()
  const cluster = join(cwd, 'data/postgres')
  await writeFile(join(cluster, 'PG_VERSION'), '17\n')

  const expected = new RegExp(
    `^latchkey: the database in ${cluster} is for PostgreSQL 17, ` +
      'but this version of Latchkey has \\d+: run "latchkey backup FILE" with your earlier version, then ' +
      `"mv ${cluster} ${cluster}-17" and "latchkey restore FILE" with this version\n$`
  )
  const start = startProcess(t, cwd, { LOG_LEVEL: 'silent' })
  t.equal(await start.exited, 1)
  t.match(start.output(), expected)
  for (const words of [
    ['backup', 'again.backup'],
    ['keys', 'status'],
    ['restore', 'latchkey.backup']
  ])
    t.match(await latchkey(...words), { code: 1, out: '', err: expected }, words.join(' '))

  await rename(cluster, `${cluster}-17`)
  t.match(await latchkey('restore', 'latchkey.backup'), { code: 0, err: '' })
  const again = await startEmbeddedService(t, cwd)
  await requireSame(t, again.origin, password, id)
  await again.stop()
})
