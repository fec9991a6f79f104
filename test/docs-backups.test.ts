import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ageKeygen } from './helpers/age-keygen.ts'
import { emptyDatabase } from './helpers/backups.ts'
import { blocksOf } from './helpers/doc-blocks.ts'
import { newDirectory, startEmbeddedService } from './helpers/embedded-service.ts'
import { Shell } from './helpers/shell.ts'

// Starts many processes in sequence.
t.setTimeout(300_000)

const root = join(import.meta.dirname, '..')

t.test('the commands in docs/operations/backups.md work', async (t) => {
  const page = await readFile(join(root, 'docs/operations/backups.md'), 'utf8')
  const database = await emptyDatabase(t)
  const cwd = await newDirectory(t)
  await (await startEmbeddedService(t, cwd)).stop()
  const shell = new Shell(t, t.testdir(), cwd, {})
  await shell.run(`latchkey() { node "${root}/src/cli.ts" "$@"; }${ageKeygen()}`)
  const url = database.ownerUrl
  let count = 0
  for (const { heading, text, language } of blocksOf(page)) {
    // test/ops/pitr.test.ts runs some of these; the others change this machine.
    if (language !== 'sh' || /^(pg_|#!|docker )/.test(text)) continue
    if (heading === 'Restore') await rename(join(cwd, 'data/postgres'), join(cwd, 'data/postgres-before'))
    const script = text.replace('postgres://latchkey@db.example.org/latchkey', `'${url}'`)
    const { code, out, err, failed } = await shell.run(script)
    if (!t.same({ code, failed }, { code: 0, failed: [] }, `${heading}: ${script}${out}${err}`)) return
    if (heading === 'Verify a backup') t.equal(out.match(/^The backup is intact: /gm)?.length, 2)
    if (heading === 'Restore' || heading.startsWith('Move')) t.match(out, /^Restored \d+ rows/m)
    count++
  }
  t.ok(count >= 6, `${count} blocks`)
})
