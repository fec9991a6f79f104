import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import pg from 'pg'
import t from 'tap'
import { newRootKey } from '../src/root-keys/local.ts'
import { asRole, createTestDatabase } from './helpers/database.ts'
import { blocksOf } from './helpers/doc-blocks.ts'
import { startProcess } from './helpers/process.ts'
import { Shell } from './helpers/shell.ts'

const root = join(import.meta.dirname, '..')
// The names on the page are taken: all tests share the roles and databases of the server.
const [owner, service, database] = ['latchkey_docs_owner', 'latchkey_docs_service', 'latchkey_docs']
const renamed = (text: string) =>
  text
    .replaceAll('latchkey_owner', owner)
    .replaceAll('latchkey_service', service)
    .replace('create database latchkey ', `create database ${database} `)

t.test('the commands in docs/operations/database-roles.md work', async (t) => {
  const blocks = blocksOf(await readFile(join(root, 'docs/operations/database-roles.md'), 'utf8'))
  t.same(
    blocks.map(({ language }) => language),
    ['sql', 'sh']
  )
  const server = await createTestDatabase({ empty: true })
  t.teardown(server.drop)
  const [setUp, migrate] = blocks.map(({ text }) => renamed(text)) as [string, string]
  const statements = setUp.split(';').filter((text) => text.trim())
  t.teardown(async () => {
    await sql.raw(`drop database if exists ${database} with (force)`).execute(server.db)
    for (const role of [owner, service]) await sql.raw(`drop role if exists ${role}`).execute(server.db)
  })
  for (const statement of statements) await sql.raw(statement).execute(server.db)
  const { host, port } = new pg.Client({ connectionString: server.ownerUrl })
  const url = `postgresql://x@/${database}?host=${encodeURIComponent(host)}&port=${port}`
  const as = (role: string) =>
    asRole(url, role, /'(.*)'/.exec(statements.find((text) => text.includes(role))!)![1]!)

  const env = {
    LATCHKEY_ROOT_KEYS: newRootKey('docs'),
    LATCHKEY_ADMIN_EMAIL: 'admin@example.org',
    LATCHKEY_ADMIN_PASSWORD: 'correct horse battery'
  }
  const cwd = t.testdir({ shell: {} })
  const early = startProcess(t, cwd, { ...env, DATABASE_URL: as(service) })
  t.equal(await early.exited, 1)
  t.match(early.output(), /^latchkey: the role \w+ cannot create the tables: run "latchkey migrate"/)

  const shell = new Shell(t, cwd, join(cwd, 'shell'), { ...env, DATABASE_URL: as(owner) })
  await shell.run(`latchkey() { node "${root}/src/cli.ts" "$@"; }`)
  const ran = await shell.run(migrate)
  t.same({ code: ran.code, failed: ran.failed }, { code: 0, failed: [] }, ran.err)
  for (const urls of [
    { DATABASE_URL: as(service) },
    { DATABASE_URL: as(service), LATCHKEY_MIGRATION_DATABASE_URL: as(owner) }
  ]) {
    const running = startProcess(t, cwd, { ...env, ...urls })
    await running.printed(/listens on/)
    running.child.kill('SIGTERM')
    t.equal(await running.exited, 0)
  }
})
