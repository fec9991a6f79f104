import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, openSync } from 'node:fs'
import { access, chmod, chown, cp, mkdir, mkdtemp, readFile, realpath, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'

const execute = promisify(execFile)
/** Postgres and PgBouncer refuse to run as root. */
const NOBODY = { uid: 65534, gid: 65534 }
const runAs = process.getuid?.() === 0 ? NOBODY : undefined

export interface Daemon {
  child: ChildProcess
  exited: Promise<void>
  /** Everything printed so far. */
  output(): Promise<string>
}

/** A temporary directory and the programs that run in it. Both are gone when the test ends, in any way. */
export interface Bed {
  directory: string
  /** Writes a file that the programs own, and returns its path. */
  write(name: string, text: string): Promise<string>
  /** Creates a directory that the programs own, and returns its path. */
  makeDirectory(name: string): Promise<string>
  /** Copies a directory so that the programs can read it. */
  copy(from: string, name: string): Promise<void>
  start(name: string, file: string, args: string[], env?: Record<string, string>): Daemon
  /** Runs a program and returns its standard output. Throws if it fails. */
  run(file: string, args: string[], env?: Record<string, string>): Promise<string>
}

/**
 * Creates a test bed. A separate process cleans up when its standard input closes, so that even kill -9 of
 * the test leaves nothing behind.
 */
export async function makeBed(t: Test): Promise<Bed> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'latchkey-ops-')))
  const cleanup = spawn(process.execPath, [join(import.meta.dirname, 'cleanup.ts'), directory], {
    cwd: '/',
    // In its own process group, so that Ctrl-C does not stop it.
    detached: true,
    stdio: ['pipe', 'ignore', 'inherit']
  })
  t.teardown(async () => {
    cleanup.stdin.end()
    await once(cleanup, 'exit')
  })
  await own(directory)
  await chmod(directory, 0o700)
  const { PATH = '' } = process.env
  const options = { ...runAs, cwd: directory }
  const withPath = (env: Record<string, string>) => ({ PATH: `${PATH}:/usr/sbin`, LC_ALL: 'C.UTF-8', ...env })
  return {
    directory,
    async write(name, text) {
      const path = join(directory, name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, text, { mode: 0o600 })
      await own(path)
      return path
    },
    async makeDirectory(name) {
      const path = join(directory, name)
      await mkdir(path, { mode: 0o700 })
      await own(path)
      return path
    },
    async copy(from, name) {
      await cp(from, join(directory, name), { recursive: true })
      await own(join(directory, name))
    },
    start(name, file, args, env = {}) {
      const log = join(directory, `${name}.log`)
      const output = openSync(log, 'a', 0o600)
      chmodSync(log, 0o600)
      if (runAs) chownSync(log, runAs.uid, runAs.gid)
      const child = spawn(file, args, { ...options, env: withPath(env), stdio: ['ignore', output, output] })
      const exited = new Promise<void>((resolve, reject) => {
        child.on('exit', () => resolve()).on('error', reject)
      })
      return { child, exited, output: () => readFile(log, 'utf8') }
    },
    async run(file, args, env = {}) {
      return (await execute(file, args, { ...options, env: withPath(env) })).stdout
    }
  }
}

async function own(path: string): Promise<void> {
  if (runAs) await chown(path, runAs.uid, runAs.gid)
}

/** Returns the path of a program, or undefined if it is not installed. */
export async function findProgram(name: string): Promise<string | undefined> {
  const paths = `${process.env['PATH']}:/usr/sbin`.split(':').map((directory) => join(directory, name))
  return Promise.any(paths.map((path) => access(path).then(() => path))).catch(() => undefined)
}

/** Returns why a test must be skipped, or undefined if all programs are installed. */
export async function missing(...names: string[]): Promise<string | undefined> {
  for (const name of names) if (!(await findProgram(name))) return `${name} is not installed`
  return undefined
}
