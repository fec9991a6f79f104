import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { runTool } from './tool.ts'

t.test('a generator whose toolchain is missing is skipped, with the reason', async (t) => {
  const path = await mkdtemp(join(tmpdir(), 'latchkey-path-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  const bash = await runTool('bash', ['-c', 'command -v bash'])
  await symlink(bash.out.trim(), join(path, 'bash'))
  const matrix = join(import.meta.dirname, 'generators.test.ts')
  const { code, out } = await runTool(process.execPath, [matrix], {
    env: { PATH: path, GENERATORS: 'rust', TAP: '1' }
  })
  t.equal(code, 0)
  t.match(out, /ok \d+ - Rust # SKIP no toolchain for rust/)
  t.notMatch(out, /round trip done|with this version/)
})
