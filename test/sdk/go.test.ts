import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { offline, runTool } from './tool.ts'

t.setTimeout(600_000)

const GENERATOR = 'github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2'
const RUNTIME = 'github.com/oapi-codegen/runtime@v1.8.0'
const openapi = join(import.meta.dirname, '../../openapi.yaml')
const main = join(import.meta.dirname, 'go/main.go')

t.test('a Go client made from openapi.yaml as it stands does a round trip', async (t) => {
  const cwd = t.testdir()
  const go = (...args: string[]) => runTool('go', args, { cwd, env: { GOFLAGS: '-mod=mod', GOBIN: cwd } })
  const there = await go('version')
  if (there.code !== 0) return t.pass('the client is made', { skip: `no Go: ${there.out.trim()}` })
  t.equal((await go('mod', 'init', 'example')).code, 0)
  for (const args of [
    ['install', GENERATOR],
    ['get', RUNTIME]
  ]) {
    const fetched = await go(...args)
    const away = fetched.code !== 0 && offline(fetched)
    if (away) return t.pass('the client is made', { skip: `no ${args[1]}: ${away}` })
    t.equal(fetched.code, 0, fetched.out)
  }

  await mkdir(join(cwd, 'latchkey'))
  const generated = await runTool(
    join(cwd, 'oapi-codegen'),
    ['-generate', 'types,client', '-package', 'latchkey', '-o', 'latchkey/client.gen.go', openapi],
    { cwd }
  )
  t.equal(generated.code, 0, generated.out)
  t.equal(generated.out, '', 'it has nothing to warn of')
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
