import { execFile } from 'node:child_process'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { dropSocketDirectory, unlessMissing } from './directory.ts'

const run = promisify(execFile)
const CLAIM = 'postgres.lock-'

/**
 * Names a process by its pid and its start, so that no later process with the same pid passes for it. Undefined
 * when there is none. One that ended and was not waited for (no init in a container) counts as gone.
 */
export async function identityOf(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') {
    const started = await ps(pid, 'lstart=')
    return started && `${pid}-${started.replaceAll(/\W+/g, '-')}`
  }
  const stat = await unlessMissing(readFile(`/proc/${pid}/stat`, 'utf8'))
  if (!stat) return undefined
  // The command comes second, in brackets, and may hold brackets and spaces. What follows is one field a space.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  // The start is in ticks since the boot, which could repeat after the next one.
  const boot = await unlessMissing(readFile('/proc/sys/kernel/random/boot_id', 'utf8'))
  return `${pid}-${fields[19]}-${boot?.slice(0, 8) ?? 0}`
}

/** The words that a process was started with, separated by spaces; empty when they cannot be had. */
async function commandLine(pid: number): Promise<string> {
  if (process.platform !== 'linux') return (await ps(pid, 'args=')) ?? ''
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return words.replaceAll('\0', ' ')
}

async function ps(pid: number, column: string): Promise<string | undefined> {
  const { stdout } = await run('/bin/ps', ['-ww', '-o', column, '-p', String(pid)], {
    env: { LC_ALL: 'C', TZ: 'UTC' }
  }).catch((error: NodeJS.ErrnoException) => {
    if (Number(error.code) === 1) return { stdout: '' }
    throw error
  })
  return stdout.trim() || undefined
}

/**
 * Makes this process the only user of `directory`, until the function that it returns is called. Throws when
 * another one that is alive has it. Two that come at the same moment may both be refused, never both let in:
 * each writes its own file before it looks for others, so no step has to take over a file from anybody.
 */
export async function claim(directory: string): Promise<() => Promise<void>> {
  const identity = await identityOf(process.pid)
  if (!identity) throw new Error('cannot tell processes apart here (no /proc): set DATABASE_URL')
  const own = CLAIM + identity
  const release = () => rm(join(directory, own), { force: true })
  await writeFile(join(directory, own), '', { flag: 'wx', mode: 0o600 }).catch((error) => {
    throw error.code === 'EEXIST' ? inUse(directory, process.pid) : error
  })
  try {
    for (const name of await readdir(directory)) {
      if (!name.startsWith(CLAIM) || name === own) continue
      const pid = Number.parseInt(name.slice(CLAIM.length), 10)
      if (CLAIM + (await identityOf(pid)) === name) throw inUse(directory, pid)
      await rm(join(directory, name), { force: true })
    }
    return release
  } catch (error) {
    await release()
    throw error
  }
}

const inUse = (directory: string, pid: number) =>
  new Error(
    `the database in ${directory} is in use by process ${pid}: stop that one first, or set DATABASE_URL`
  )

/**
 * Stops the Postgres that a killed process left behind, and gives its pid; undefined when there was none. A
 * process that merely got the pid that it once had is left alone.
 */
export async function stopLeftover(cluster: string): Promise<number | undefined> {
  const file = join(cluster, 'postmaster.pid')
  let text = await unlessMissing(readFile(file, 'utf8'))
  if (text === '') {
    // One that has just been started writes it in a moment; one that a power cut emptied stays so.
    await sleep(1000)
    text = await unlessMissing(readFile(file, 'utf8'))
    if (text === '') await rm(file, { force: true })
  }
  if (!text) return undefined
  const [first = '', ...rest] = text.split('\n')
  const pid = Number.parseInt(first, 10)
  if (pid > 0 && (await commandLine(pid)).includes(`/postgres -D ${cluster} `)) {
    await stopPostmaster(pid)
    await dropSocketDirectory(rest[3] ?? '')
    return pid
  }
  await dropSocketDirectory(rest[3] ?? '')
  // Postgres would refuse to start as long as anything has this pid. It passes over its parent's, which we are
  // about to be, and still looks whether the shared memory that is named further down has users left.
  await writeFile(file, [process.pid, ...rest].join('\n'))
  return undefined
}

/** Fast shutdown, and an immediate one (safe, with recovery at the next start) when that takes too long. */
export async function stopPostmaster(pid: number): Promise<void> {
  const identity = await identityOf(pid)
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (!identity || (await identityOf(pid)) !== identity) return
    await unlessMissing((async () => process.kill(pid, signal))())
    for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(20)) {
      if ((await identityOf(pid)) !== identity) return
    }
  }
  throw new Error(`PostgreSQL (process ${pid}) does not stop`)
}
