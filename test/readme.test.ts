import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
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
  const shell = new Shell(t, directory, cwd, env)
  for (const time of ['the first time', 'the second time']) {
    const { code, out, err, failed } = await shell.run(walk!.text)
    t.same({ code, failed }, { code: 0, failed: [] }, `${time}: ${err}`)
    t.match(out, '"values":{"apiKey":"s3cret"', `${time}: the secret is handed out`)
    t.equal(out.split('s3cret').length, 2, `${time}: and nowhere else`)
    t.match(out, '"keyValue":"n3w"', `${time}: the new one is revealed`)
    t.match(out, '"revision":2', time)
    t.equal(out.split('{"success":true}').length, 4, `${time}: all is deleted`)
  }
})
