import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { offline, runTool } from './tool.ts'

t.setTimeout(600_000)

const GENERATOR = 'openapi-python-client==0.29.1'
const openapi = join(import.meta.dirname, '../../openapi.yaml')
const roundTrip = join(import.meta.dirname, 'python/round_trip.py')

t.test('a Python client made from openapi.yaml as it stands does a round trip', async (t) => {
  const cwd = t.testdir()
  const venv = await runTool('python3', ['-m', 'venv', 'venv'], { cwd })
  if (venv.code !== 0)
    return t.pass('the client is made', { skip: `no Python with venv: ${venv.out.trim()}` })
  const python = join(cwd, 'venv/bin/python')
  const installed = await runTool(python, ['-m', 'pip', 'install', '--quiet', GENERATOR], { cwd })
  const away = installed.code !== 0 && offline(installed)
  if (away) return t.pass('the client is made', { skip: `no ${GENERATOR}: ${away}` })
  t.equal(installed.code, 0, installed.out)

  // It formats what it made by a program that need not be there.
  await writeFile(join(cwd, 'config.yaml'), 'post_hooks: []\n')
  await mkdir(join(cwd, 'out'))
  const client = join(cwd, 'out/latchkey_client')
  const generated = await runTool(
    join(cwd, 'venv/bin/openapi-python-client'),
    [
      'generate',
      '--path',
      openapi,
      '--meta',
      'none',
      '--config',
      'config.yaml',
      '--fail-on-warning',
      '--output-path',
      client
    ],
    { cwd }
  )
  t.equal(generated.code, 0, generated.out)
  t.notMatch(generated.out, /warning|skip|error/i, 'no operation is left out')
  const compiled = await runTool(python, ['-m', 'compileall', '-q', client])
  t.equal(compiled.code, 0, compiled.out)

  const { origin, admin } = await startTestApp(t)
  const ran = await runTool(python, [roundTrip], {
    cwd,
    env: {
      PYTHONPATH: join(cwd, 'out'),
      BASE: origin,
      EMAIL: admin.person.email,
      PASSWORD: admin.person.password
    }
  })
  t.equal(ran.code, 0, ran.out)
  t.match(ran.out, 'round trip done')
})
