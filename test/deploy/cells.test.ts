// The scripts in deploy/cells, as far as they run without changing the machine.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { startFakeServer } from '../helpers/fake-server.ts'

/** Runs a script, which must fail, and returns its exit code and standard error. */
function refusal(script: string, args: string[], env = process.env): Promise<string> {
  const path = join(import.meta.dirname, '../../deploy/cells', script)
  return new Promise((resolve) =>
    execFile('/bin/sh', [path, ...args], { env }, (error, _stdout, stderr) =>
      resolve(`${error?.code}: ${stderr}`)
    )
  )
}

t.test('a cell must have a name that the service accepts', async (t) => {
  // Without programs in PATH, the script cannot create anything.
  const env = { PATH: t.testdir() }
  const named = (name: string) => refusal('make-cell.sh', [name, '5441', 'admin@example.org'], env)
  for (const name of ['', 'B', 'north-east', 'cellnumber013', '../b', 'b b', 'é'])
    t.match(await named(name), /^2: a name has 1 to 12 lowercase letters and digits/, name)
  for (const name of ['b', 'eu1', 'cellnumber12']) t.match(await named(name), /^127: .*install/, name)
})

t.test('a replica is not started on the port of another one', async (t) => {
  const { origin } = await startFakeServer(t, () => ({ status: 200, body: '{"status":"ok"}' }))
  const { port } = new URL(origin)
  t.equal(await refusal('start-replica.sh', ['none', port]), `1: port ${port} is in use\n`)
})
