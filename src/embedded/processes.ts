import { execFile } from 'node:child_process'
import { readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Location, removeSocketDirectory } from './directory.ts'
import { ignoreMissing, readOwned, replaceOwned } from './files.ts'

const run = promisify(execFile)
const LOCK_PREFIX = 'postgres.lock-'
/** What a lock says of a process that ends by itself. */
const BRIEF = 'brief\n'

/**
 * Identifies a process by its pid and its start time, so that a later process with the same pid differs.
 * Undefined if there is none, or only a zombie, which stays in a container without an init.
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
 * live process has locked it. Each process looks for others after it has written its own file, so two that
 * start at the same moment may both be refused, and are never both admitted. It also looks before, so that
 * one that tries again and again does not refuse others. The others are told `isBrief`.
 */
export async function lockDirectory(directory: string, isBrief: boolean): Promise<() => Promise<void>> {
  const identity = await identityOf(process.pid)
  if (!identity) throw new Error('cannot tell processes apart here (no /proc): set DATABASE_URL')
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

/** Throws DirectoryInUse for a lock of a live process, and removes those of others. */
async function refuseOthers(directory: string, own: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(LOCK_PREFIX) || name === own) continue
    const pid = Number.parseInt(name.slice(LOCK_PREFIX.length), 10)
    const path = join(directory, name)
    if (LOCK_PREFIX + (await identityOf(pid)) === name) {
      const text = await ignoreMissing(readFile(path, 'utf8'))
      throw new DirectoryInUse(directory, pid, text === undefined || text === BRIEF)
    }
    await rm(path, { force: true })
  }
}

/** Another live process has locked the directory. */
export class DirectoryInUse extends Error {
  /** The other process ends as soon as its work is done. */
  readonly isBrief: boolean

  constructor(directory: string, pid: number, isBrief: boolean) {
    super(
      `the database in ${directory} is in use by process ${pid}: stop that one first, or set DATABASE_URL`
    )
    this.name = 'DirectoryInUse'
    this.isBrief = isBrief
  }
}

/**
 * Stops the Postgres that a killed process left running. Returns its pid, or undefined if there was none.
 * Another process that has its pid by now is left alone.
 */
export async function stopLeftover({ cluster, runAs }: Location): Promise<number | undefined> {
  const file = join(cluster, 'postmaster.pid')
  let text = await readOwned(file, runAs)
  if (text === '') {
    // A server that is starting writes it in a moment; after a power cut it may stay empty.
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
  // Postgres refuses to start while any process has this pid, except its parent, which this process will be.
  // It still checks that the shared memory named further down is not in use.
  await replaceOwned(file, [process.pid, ...rest].join('\n'), runAs)
  return undefined
}

/** Shuts down fast, and immediately (with recovery at the next start) if that takes too long. */
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
