import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import t from 'tap'
import { inTransaction } from '../src/db/database.ts'
import { migrate } from '../src/db/migrate.ts'
import { MIGRATIONS } from '../src/db/migration-files.ts'
import { newRootKey } from '../src/root-keys/local.ts'
import { createTestDatabase } from './helpers/database.ts'
import { blocksOf } from './helpers/doc-blocks.ts'
import { Shell } from './helpers/shell.ts'

const root = join(import.meta.dirname, '..')

t.test('the examples in docs/operations/upgrades.md and migrations.md work', async (t) => {
  const read = (name: string) => readFile(join(root, 'docs/operations', name), 'utf8')
  const blocks = [...blocksOf(await read('upgrades.md')), ...blocksOf(await read('migrations.md'))]
  const of = (language: string) => blocks.filter((block) => block.language === language)
  const database = await createTestDatabase()
  t.teardown(database.drop)

  const cwd = t.testdir({ shell: {} })
  const env = { LATCHKEY_ROOT_KEYS: newRootKey('docs'), DATABASE_URL: database.ownerUrl }
  const shell = new Shell(t, cwd, join(cwd, 'shell'), env)
  await shell.run(`latchkey() { node "${root}/src/cli.ts" "$@"; }`)
  const [command] = of('sh')
  t.match(await shell.run(command!.text), { code: 0, failed: [], out: 'No pending migrations.\n' })

  const [transactions] = of('sql')
  await inTransaction(database.db, async (trx) => {
    const { rows } = await sql.raw(transactions!.text.replace("'5 seconds'", "'0'")).execute(trx)
    t.match(rows, [{ application_name: 'latchkey', state: 'active' }])
  })

  const named = of('ts').map(({ text }) => ({ name: /^\/\/ (\S+)/.exec(text)![1]!, text }))
  t.equal(named.length, 4)
  const column = sql<{ label: string }>`select label from credentials`
  const folders = [MIGRATIONS]
  for (const { name, text } of named) {
    const folder = join(cwd, name.replace('.ts', ''))
    await mkdir(folder)
    await writeFile(join(folder, name), text)
    folders.push(folder)
    t.same(await migrate(database.db, { folders }), [name.replace('.ts', '')])
    const removes = name.includes('gone')
    if (removes) await t.rejects(column.execute(database.db), { code: '42703' })
    else await column.execute(database.db)
  }

  const [refusal] = of('text')
  const version = sql`update schema_migrations set min_version = '1.3.0', name = '29990101T000000_later'
    where name like '%gone'`
  await version.execute(database.db)
  const message = refusal!.text
    .trim()
    .replace('latchkey: ', '')
    .replace(/this is .*/, '')
  await t.rejects(migrate(database.db, { folders }), { message: new RegExp(`^${message}`) })
})

t.test('each release of the changelog has upgrade notes', async (t) => {
  const changelog = await readFile(join(root, 'CHANGELOG.md'), 'utf8')
  const notes = await readFile(join(root, 'docs/operations/upgrade-notes.md'), 'utf8')
  const releases = [...changelog.matchAll(/^## (Unreleased|\d\S*)/gm)].map(([, release]) => release!)
  t.ok(releases.length >= 2, releases.join())
  for (const release of releases) {
    const heading = release === 'Unreleased' ? 'Next release (unreleased)' : release
    t.ok(notes.includes(`\n## ${heading}\n`), heading)
  }
})
