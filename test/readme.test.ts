import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startTestApp } from './helpers/app.ts'
import { blocksOf } from './helpers/doc-blocks.ts'
import { Shell } from './helpers/shell.ts'

const root = join(import.meta.dirname, '..')
const read = async (path: string) => blocksOf(await readFile(join(root, path), 'utf8'))

/** Starts a service. Returns a function that opens a new shell in a new directory, as a reader would. */
async function newShell(t: Test, more: Record<string, string> = {}) {
  const service = await startTestApp(t)
  const { email, password } = service.admin.person
  const directory = t.testdir()
  let count = 0
  return async () => {
    const cwd = join(directory, `here-${++count}`)
    await mkdir(cwd)
    const { origin } = service
    const env = { BASE: origin, LATCHKEY: origin, EMAIL: email, PASSWORD: password, ...more }
    return new Shell(t, cwd, cwd, env)
  }
}

const readWalk = async () => (await read('README.md')).find(({ heading }) => heading === 'A walk with curl')

t.test('the commands of the README run as printed', async (t) => {
  const walk = await readWalk()
  const shell = await (await newShell(t))()
  const half = await shell.run(walk!.text.slice(0, walk!.text.indexOf('# Change one value')))
  t.same([half.code, half.failed], [0, []], `the first half: ${half.err}`)
  for (const time of ['the first time', 'the second time']) {
    const { code, out, err, failed } = await shell.run(walk!.text)
    t.same({ code, failed }, { code: 0, failed: [] }, `${time}: ${err}`)
    t.match(out, '"values":{"apiKey":"s3cret"', `${time}: the secret is resolved`)
    t.equal(out.split('s3cret').length, 2, `${time}: the secret is printed once`)
    t.match(out, '"keyValue":"n3w"', `${time}: the new one is revealed`)
    t.match(out, '"revision":2', time)
    t.equal(out.split('{"success":true}').length, 4, `${time}: everything is deleted`)
  }
})

t.test('an error inside a command substitution is printed', async (t) => {
  const walk = await readWalk()
  const shell = await (await newShell(t, { PASSWORD: 'mistyped' }))()
  const { out, err } = await shell.run(walk!.text)
  t.match(out, '"code":"invalid-credentials"')
  t.match(err, "code: 'unauthenticated'")
})

t.test('names that an interrupted tutorial left can be deleted in a new terminal', async (t) => {
  const tutorial = await read('docs/tutorials/getting-started.md')
  const under = (title: string) => tutorial.filter(({ heading }) => heading.endsWith(title))
  const [signIn] = under('Sign in')
  const [project, credential] = under('Store a secret').filter(({ language }) => language === 'sh')
  const half = `${signIn!.text}${project!.text}${credential!.text}`
  const forget = (await read('docs/operations/troubleshooting.md')).find(
    ({ heading }) => heading === 'Names that a page left behind'
  )
  const open = await newShell(t)
  t.match(await (await open()).run(half), { code: 0, failed: [] })
  t.match(await (await open()).run(half), { err: "code: 'name-taken'" }, 'the names are taken')
  const shell = await open()
  const { code, out, failed } = await shell.run(`${signIn!.text}${forget!.text}`)
  t.same({ code, failed }, { code: 0, failed: [] })
  t.equal(out.split('{"success":true}').length, 3, 'both are deleted')
  t.match(await (await open()).run(half), { code: 0, failed: [] }, 'the page runs again')
})
