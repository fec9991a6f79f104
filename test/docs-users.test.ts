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
  const made = { email: 'ann@example.org', name: 'Ann', password: 'forgotten by Ann' }
  t.equal((await service.admin.post('/api/v1/users', made)).status, 201)

  const env = { DATABASE_URL: service.databaseUrl, LATCHKEY_ROOT_KEYS: newRootKey('docs') }
  const cwd = t.testdir({ shell: {} })
  const shell = new Shell(t, cwd, join(cwd, 'shell'), { ...env, NEW_PASSWORD: 'chosen by the operator' })
  await shell.run(`latchkey() { node "${root}/src/cli.ts" "$@"; }`)
  const page = await readFile(join(root, 'docs/operations/users.md'), 'utf8')
  const blocks = blocksOf(page).map(({ text }) => text)
  t.equal(blocks.length, 4)
  const run = async (block = '') => {
    const { code, failed, out, err } = await shell.run(block)
    t.same({ code, failed, err }, { code: 0, failed: [], err: '' }, block)
    return out
  }
  const printed = /^Password: (\S+)$/m
  const [, password = ''] = printed.exec(await run(blocks[0])) ?? []
  t.equal(await status('ann@example.org', password), 200)
  t.notMatch(await run(blocks[1]), printed)
  t.equal(await status('ann@example.org', 'chosen by the operator'), 200)
  const [, bobs = ''] = printed.exec(await run(blocks[2])) ?? []
  t.equal(await status('bob@example.org', bobs), 200)
  t.match(await run(blocks[3]), /user {3}disabled {2}ann@example\.org {2}Ann/)
  t.equal(await status('ann@example.org', 'chosen by the operator'), 401)
})
