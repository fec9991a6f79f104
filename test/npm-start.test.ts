import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { identityOf } from '../src/embedded/processes.ts'
import { newDirectory, startEmbeddedService } from './helpers/embedded-service.ts'
import { eventually } from './helpers/eventually.ts'
import { startProcess } from './helpers/process.ts'

// Starts many processes in sequence.
t.setTimeout(300_000)

const root = join(import.meta.dirname, '..')

/** Runs `npm start` with an embedded database in `directory`. */
function spawnNpmStart(t: Test, directory: string) {
  const { PATH = '', HOME = '' } = process.env
  const env = { PATH, HOME, LATCHKEY_DATA_DIR: directory, PORT: '0', LOG_LEVEL: 'silent' }
  const child = spawn('npm', ['start'], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true
  })
  t.teardown(() => {
    try {
      process.kill(-child.pid!, 'SIGINT')
    } catch {}
  })
  return child
}

/** Runs `npm start` and waits until the service listens. */
async function npmStart(t: Test, directory: string) {
  const child = spawnNpmStart(t, directory)
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  const origin = () => /listens on (http:\S+)/.exec(output)?.[1]
  await eventually(() => origin() !== undefined, 'the service listens', 60_000)
  return { child, output: () => output, origin: origin()! }
}

const isLinux = process.platform === 'linux'

/** Returns the pids of the services that use the directory. */
async function servicesOf(directory: string): Promise<string[]> {
  const read = (path: string) => readFile(path, 'utf8').catch(() => '')
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  const found = pids.map(async (pid) => {
    const isService = (await read(`/proc/${pid}/cmdline`)).includes('\0src/main.js\0')
    return isService && (await read(`/proc/${pid}/environ`)).includes(directory) ? [pid] : []
  })
  return (await Promise.all(found)).flat()
}

const isUp = (origin: string) =>
  fetch(`${origin}/livez`).then(
    () => true,
    () => false
  )

t.test('npm start ends the service and its Postgres', { skip: process.platform === 'win32' }, async (t) => {
  const directory = join(await newDirectory(t), 'data')
  const pidFile = join(directory, 'postgres/postmaster.pid')
  const ends: [string, (pid: number) => void][] = [
    ['by a SIGTERM to npm', (pid) => process.kill(pid, 'SIGTERM')],
    ['by Ctrl-C', (pid) => process.kill(-pid, 'SIGINT')]
  ]
  for (const [how, send] of ends) {
    const { child, origin, output } = await npmStart(t, directory)
    const postgres = Number.parseInt(await readFile(pidFile, 'utf8'), 10)
    send(child.pid!)
    await eventually(async () => !(await isUp(origin)) && !existsSync(pidFile), how, 20_000)
    await eventually(async () => (await identityOf(postgres)) === undefined, `${how}: no Postgres`)
    t.notMatch(output(), 'an earlier run had left running', 'Postgres was stopped before')
  }
})

t.test('a SIGTERM to npm start during the start leaves no process', { skip: !isLinux }, async (t) => {
  const directory = join(await newDirectory(t), 'data')
  await (await startEmbeddedService(t, join(directory, '..'))).stop()
  for (const ms of [0, 50, 150, 400]) {
    const { pid } = spawnNpmStart(t, directory)
    await eventually(async () => (await servicesOf(directory)).length > 0, 'node runs', 30_000)
    await sleep(ms)
    process.kill(pid!, 'SIGTERM')
    await eventually(async () => (await servicesOf(directory)).length === 0, `killed after ${ms} ms`, 20_000)
    await eventually(() => !existsSync(join(directory, 'postgres/postmaster.pid')), 'no Postgres')
  }
})

t.test('closing the terminal (SIGHUP) ends the service and its Postgres', async (t) => {
  const cwd = await newDirectory(t)
  const service = await startEmbeddedService(t, cwd)
  service.child.kill('SIGHUP')
  t.equal(await service.exited, 0)
  t.notOk(existsSync(join(cwd, 'data/postgres/postmaster.pid')))
})

t.test('a signal while the service starts leaves no Postgres', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    const cwd = await newDirectory(t)
    const service = startProcess(t, cwd, { LOG_LEVEL: 'silent' })
    const pidFile = join(cwd, 'data/postgres/postmaster.pid')
    await eventually(() => existsSync(pidFile), 'Postgres starts', 60_000)
    service.child.kill(signal)
    t.equal(await service.exited, 1)
    t.notMatch(service.output(), 'listens on')
    await eventually(() => !existsSync(pidFile), `it stops after ${signal}`)
  }
})
