import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { variables } from '../src/config.ts'
import { startTestApp } from './helpers/app.ts'
import { blocksOf } from './helpers/doc-blocks.ts'
import { Shell } from './helpers/shell.ts'

const root = join(import.meta.dirname, '..')

t.test('the walk in the README runs as it is printed', async (t) => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const walk = blocksOf(readme).find(({ heading }) => heading === 'A walk with curl')
  t.ok(walk, 'it is there')
  const service = await startTestApp(t)
  const { email, password } = service.admin.person
  const directory = t.testdir()
  const cwd = join(directory, 'here')
  await mkdir(cwd)
  const env = { BASE: service.origin, EMAIL: email, PASSWORD: password }
  const { code, out, err, failed } = await new Shell(t, directory, cwd, env).run(walk!.text)
  t.same({ code, failed }, { code: 0, failed: [] }, err)
  t.match(out, '"keyValue":"s3cret"', 'the secret is revealed')
  t.equal(out.split('s3cret').length, 2, 'and nowhere else')
  t.match(out, '"revision":2')
  t.match(out, '{"success":true}')
})

t.test('every variable that the configuration reads is in its table, and no other', async (t) => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const inTable = [...readme.matchAll(/^\| `([A-Z_]+)` \|/gm)].map((match) => match[1]).sort()
  t.same(inTable, variables.map(({ name }) => name).sort())
})
