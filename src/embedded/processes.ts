import { execFile } from 'node:child_process'
import { readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Location, removeSocketDirectory } from './directory.ts'
import { ignoreMissing, readOwned, replaceOwned } from './files.ts'

const run = promisify(execFile)
const LOCK_PREFIX = 'postgres.lock-'
/** The content of the lock of a command. */
const BRIEF = 'brief\n'

/**
 * Identifies a process by its pid and start time, so that a later process with the same pid differs. Returns
 * undefined if there is no such process or only a zombie, which stays in a container without an init.
 */
export async function identityOf(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') {
    const started = await ps(pid, 'lstart=')
    return started && `${pid}-${started.replaceAll(/\W+/g, '-')}`
  }
  const stat = await ignoreMissing(readFile(`/proc/${pid}/stat`, 'utf8'))
  if (!stat) return undefined
  // The second field is the command, in brackets, and may contain brackets and spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  // The start time counts ticks since boot, and could repeat after the next boot.
  const boot = await ignoreMissing(readFile('/proc/sys/kernel/random/boot_id', 'utf8'))
  return `${pid}-${fields[19]}-${boot?.slice(0, 8) ?? 0}`
}

/** The command line of a process, separated by spaces; empty if it cannot be read. */
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
 * Locks `directory` for this process until the returned function is called. Throws DirectoryInUse if another
 * live process has locked it. Each process looks for other locks after it has written its own, so two that
 * start at the same moment may both fail, but never both succeed. It also looks before, so that a process
 * that retries does not make others fail. `isBrief` is true for a command.
 */
export async function lockDirectory(directory: string, isBrief: boolean): Promise<() => Promise<void>> {
  const identity = await identityOf(process.pid)
  if (!identity)
    throw new Error('the embedded PostgreSQL needs /proc, which is not available: set DATABASE_URL')
  const own = LOCK_PREFIX + identity
  await refuseOthers(directory, own)
  const release = () => rm(join(directory, own), { force: true })
  await writeFile(join(directory, own), isBrief ? BRIEF : '', { flag: 'wx', mode: 0o600 }).catch((error) => {
    throw error.code === 'EEXIST' ? new DirectoryInUse(directory, process.pid, isBrief) : error
  })
  try {
    await refuseOthers(directory, own)
    return release
  } catch (error) {
    await release()
    throw error
  }
}

/** Throws DirectoryInUse if a live process holds a lock, and removes the locks of other processes. */
async function refuseOthers(directory: string, own: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(LOCK_PREFIX) || name === own) continue
    const pid = Number.parseInt(name.slice(LOCK_PREFIX.length), 10)
    const path = join(directory, name)
    if (LOCK_PREFIX + (await identityOf(pid)) === name) {
      throw new DirectoryInUse(directory, pid, await isLockOfCommand(path))
    }
    await rm(path, { force: true })
  }
}

/** Also true if the lock has been released meanwhile. */
async function isLockOfCommand(path: string): Promise<boolean> {
  const read = () => ignoreMissing(readFile(path, 'utf8'))
  let text = await read()
  if (text === '') {
    // The lock of a service stays empty. A command fills its lock just after it has created it.
    await sleep(50)
    text = await read()
  }
  return text === undefined || text === BRIEF
}

/** Another live process has locked the directory. */
export class DirectoryInUse extends Error {
  /** The other process is a command, which ends when its work is done. */
  readonly isBrief: boolean

  constructor(directory: string, pid: number, isBrief: boolean) {
    super(
      `the database in ${directory} is in use by process ${pid}: stop that process, or set LATCHKEY_DATA_DIR`
    )
    this.name = 'DirectoryInUse'
    this.isBrief = isBrief
  }
}

/**
 * Stops the Postgres that a killed process left running. Returns its pid, or undefined if there was none.
 * Does not touch another process that has the pid now.
 */
export async function stopLeftover({ cluster, runAs }: Location): Promise<number | undefined> {
  const file = join(cluster, 'postmaster.pid')
  let text = await readOwned(file, runAs)
  if (text === '') {
    // A server that is starting fills it in a moment. After a power cut, it may stay empty.
    await sleep(1000)
    text = await readOwned(file, runAs)
    if (text === '') await ignoreMissing(unlink(file))
  }
  if (!text) return undefined
  const [first = '', ...rest] = text.split('\n')
  const pid = Number.parseInt(first, 10)
  if (pid > 0 && (await commandLine(pid)).includes(`/postgres -D ${cluster} `)) {
    await stopPostmaster(pid)
    await removeSocketDirectory(rest[3] ?? '', runAs)
    return pid
  }
  await removeSocketDirectory(rest[3] ?? '', runAs)
  // Postgres does not start while a process has this pid, unless it is its parent, as this process will be.
  // It still checks that the shared memory named in the file is not in use.
  await replaceOwned(file, [process.pid, ...rest].join('\n'), runAs)
  return undefined
}

/**
 * Requests a fast shutdown and, if that takes too long, an immediate one, with recovery at the next start.
 */
export async function stopPostmaster(pid: number): Promise<void> {
  const identity = await identityOf(pid)
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (!identity || (await identityOf(pid)) !== identity) return
    await ignoreMissing((async () => process.kill(pid, signal))())
    for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(20)) {
      if ((await identityOf(pid)) !== identity) return
    }
  }
  throw new Error(`PostgreSQL (process ${pid}) does not stop`)
}
