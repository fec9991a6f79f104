import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { documented, runTool } from './tool.ts'

t.setTimeout(600_000)

const roundTrip = join(import.meta.dirname, 'python/round_trip.py')

t.test('a Python client made from openapi.yaml as it stands does a round trip', async (t) => {
  const cwd = t.testdir()
  const [install, generate, ...more] = await documented('Python', cwd)
  t.same(more, [])
  const venv = await runTool('python3', ['-m', 'venv', 'venv'], { cwd })
  if (venv.code !== 0)
    return t.pass('the client is made', { skip: `no Python with venv: ${venv.out.trim()}` })
  const python = join(cwd, 'venv/bin/python')
  const env = { PATH: `${join(cwd, 'venv/bin')}:${process.env.PATH}` }
  const installed = await runTool('bash', ['-c', install!], { cwd, env })
  if (installed.code !== 0) {
    const registry = await runTool(python, ['-m', 'pip', 'download', '--no-deps', 'six'], { cwd })
    if (registry.code !== 0)
      return t.pass('the client is made', { skip: `no registry: ${registry.out.trim()}` })
  }
  t.equal(installed.code, 0, installed.out)

  // It formats what it made by a program that need not be there.
  await writeFile(join(cwd, 'config.yaml'), 'post_hooks: []\n')
  const strictly = `${generate} --config config.yaml --fail-on-warning`
  const generated = await runTool('bash', ['-c', strictly], { cwd, env })
  t.equal(generated.code, 0, generated.out)
  t.notMatch(generated.out, /warning|skip|error/i, 'no operation is left out')
  const client = join(cwd, 'latchkey_client')
  const compiled = await runTool(python, ['-m', 'compileall', '-q', client])
  t.equal(compiled.code, 0, compiled.out)

  const { origin, admin } = await startTestApp(t)
  const ran = await runTool(python, [roundTrip], {
    cwd,
    env: {
      PYTHONPATH: cwd,
      BASE: origin,
      EMAIL: admin.person.email,
      PASSWORD: admin.person.password
    }
  })
  t.equal(ran.code, 0, ran.out)
  t.match(ran.out, 'round trip done')
})
