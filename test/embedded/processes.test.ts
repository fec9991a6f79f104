import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { identityOf, lockDirectory } from '../../src/embedded/processes.ts'

t.test('a service waits for a command that has just created its lock', async (t) => {
  const directory = t.testdir()
  const command = spawn('sleep', ['60'])
  t.teardown(() => command.kill())
  const lock = join(directory, `postgres.lock-${await identityOf(command.pid!)}`)
  await writeFile(lock, '')
  setTimeout(() => writeFileSync(lock, 'brief\n'), 30)
  await t.rejects(lockDirectory(directory, false), { name: 'DirectoryInUse', isBrief: true })
})

t.test('a service does not wait for another service', async (t) => {
  const directory = t.testdir()
  const service = spawn('sleep', ['60'])
  t.teardown(() => service.kill())
  await writeFile(join(directory, `postgres.lock-${await identityOf(service.pid!)}`), '')
  await t.rejects(lockDirectory(directory, false), { name: 'DirectoryInUse', isBrief: false })
})
