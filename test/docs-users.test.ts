import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { newRootKey } from '../src/root-keys/local.ts'
import { startTestApp } from './helpers/app.ts'
import { blocksOf } from './helpers/doc-blocks.ts'
import { Shell } from './helpers/shell.ts'

const root = join(import.meta.dirname, '..')

t.test('the commands in docs/operations/users.md do what the document says', async (t) => {
  const service = await startTestApp(t)
  const status = async (email: string, password: string) =>
    (await service.anonymous().post('/api/v1/session', { email, password })).status
  const { email, password } = service.admin.person
  const env = {
    ...{ DATABASE_URL: service.databaseUrl, LATCHKEY_ROOT_KEYS: newRootKey('docs') },
    ...{ LATCHKEY: service.origin, EMAIL: email, PASSWORD: password }
  }
  const cwd = t.testdir({ shell: {} })
  const shell = new Shell(t, cwd, join(cwd, 'shell'), env)
  await shell.run(`latchkey() { node "${root}/src/cli.ts" "$@"; }`)
  const page = await readFile(join(root, 'docs/operations/users.md'), 'utf8')
  const blocks = blocksOf(page).filter(({ language }) => language === 'sh')
  const run = async (what: string) => {
    const { text } = blocks.shift()!
    t.match(text, what)
    const { code, failed, out, err } = await shell.run(text)
    t.same({ code, failed, err }, { code: 0, failed: [], err: '' }, text)
    return out
  }
  const printed = /^Password: (\S+)$/m
  const dana = 'dana@example.org'
  const [, first = ''] = printed.exec(await run('users create')) ?? []
  t.equal(await status(dana, first), 200)
  const [, second = ''] = printed.exec(await run('users reset-password')) ?? []
  t.equal(await status(dana, first), 401)
  t.equal(await status(dana, second), 200)
  t.notMatch(await run('--password-stdin'), printed)
  const chosen = (await shell.run('echo "$NEW_PASSWORD"')).out.trim()
  t.equal(await status(dana, chosen), 200)
  await run('users disable')
  t.equal(await status(dana, chosen), 401)
  t.match(await run('users list'), /user {3}disabled {2}dana@example\.org {2}Dana/)
  await run('users enable')
  t.equal(await status(dana, chosen), 200)
  await run('/api/v1/session')
  t.match(await run('--request DELETE'), '{"success":true}')
  t.equal(await status(dana, chosen), 401)
  await run('--request DELETE')
  t.equal(blocks.length, 0)
})
