import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Location } from './directory.ts'
import { type Owner, openOwned } from './files.ts'

const LOG_BYTES = 5_000_000
const TAIL_BYTES = 2_000

/** The log of Postgres, `home/postgres.log`. */
export interface Log {
  fd: number
  /** Sets the start of tail(). */
  mark(): Promise<void>
  /** The last lines since the mark. */
  tail(): Promise<string>
  close(): Promise<void>
}

/** Opens the log, and rotates it to `postgres.log.1` when it reaches 5 MB. */
export async function openLog({ home, runAs }: Location): Promise<Log> {
  const path = join(home, 'postgres.log')
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT
  const file = await openOwned(path, flags, runAs)
  if (runAs) await file.chown(runAs.uid, runAs.gid)
  const rotate = async () => {
    if ((await file.stat()).size < LOG_BYTES) return
    await rm(`${path}.1`, { force: true })
    await copyFile(path, `${path}.1`, constants.COPYFILE_EXCL)
    await file.truncate()
  }
  await rotate()
  const timer = setInterval(() => rotate().catch(() => {}), 60_000).unref()
  let start = 0
  return {
    fd: file.fd,
    async mark() {
      start = (await file.stat()).size
    },
    async tail() {
      const { size } = await file.stat()
      const from = Math.max(size - TAIL_BYTES, size < start ? 0 : start)
      const { buffer } = await file.read(Buffer.alloc(size - from), 0, size - from, from)
      return buffer.toString('utf8').trim()
    },
    async close() {
      clearInterval(timer)
      await file.close()
    }
  }
}

export interface Program {
  child: ChildProcess
  /** The exit code, null for a signal; rejects if the program could not be started. */
  ended: Promise<number | null>
}

/** Runs a program of Postgres as `runAs`, with a minimal environment and its output in the log. */
export function run(
  file: string,
  args: string[],
  options: { runAs: Owner | undefined; log: Log; detached: boolean }
): Program {
  const child = spawn(file, args, {
    ...options.runAs,
    // English messages, because code matches them; a working directory that every user can enter.
    env: { LC_ALL: 'C', TZ: 'UTC' },
    cwd: '/',
    detached: options.detached,
    stdio: ['ignore', options.log.fd, options.log.fd]
  })
  // A process that exits cannot wait for the shutdown. If this process is killed, the next start stops it.
  const interrupt = () => child.kill('SIGINT')
  // Before other handlers remove its files.
  process.prependOnceListener('exit', interrupt)
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('exit', resolve)
    child.once('error', (cause) => {
      const reason = 'it requires glibc, which Alpine lacks, and as root the right to switch users'
      reject(new Error(`cannot run ${file} (${reason}): set DATABASE_URL`, { cause }))
    })
  })
  ended.catch(() => {}).finally(() => process.off('exit', interrupt))
  return { child, ended }
}
