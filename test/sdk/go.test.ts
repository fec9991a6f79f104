import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { documented, runTool } from './tool.ts'

t.setTimeout(600_000)

const main = join(import.meta.dirname, 'go/main.go')

t.test('a Go client made from openapi.yaml as it stands does a round trip', async (t) => {
  const cwd = t.testdir()
  const go = (...args: string[]) => runTool('go', args, { cwd })
  const there = await go('version')
  if (there.code !== 0) return t.pass('the client is made', { skip: `no Go: ${there.out.trim()}` })
  for (const command of await documented('Go', cwd)) {
    const done = await runTool('bash', ['-c', command], { cwd })
    if (done.code !== 0) {
      const registry = await go('list', '-m', 'golang.org/x/text@latest')
      if (registry.code !== 0)
        return t.pass('the client is made', { skip: `no registry: ${registry.out.trim()}` })
    }
    t.equal(done.code, 0, done.out)
    // Fetching says what it fetches.
    t.notMatch(done.out, /warn/i, 'it has nothing to warn of')
  }
  await copyFile(main, join(cwd, 'main.go'))
  for (const args of [
    ['vet', './...'],
    ['build', '-o', 'round-trip', '.']
  ]) {
    const done = await go(...args)
    t.equal(done.code, 0, `go ${args[0]}: ${done.out}`)
  }

  const { origin, admin } = await startTestApp(t)
  const ran = await runTool(join(cwd, 'round-trip'), [], {
    cwd,
    env: { BASE: origin, EMAIL: admin.person.email, PASSWORD: admin.person.password }
  })
  t.equal(ran.code, 0, ran.out)
  t.match(ran.out, 'round trip done')
})
