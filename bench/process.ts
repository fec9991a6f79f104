import { type ChildProcess, spawn } from 'node:child_process'

/** A child process. */
export interface Running {
  readonly pid: number
  /** Returns the end of its standard error. */
  errors(): string
  /** Resolves when it has exited; rejects if it could not be started. */
  ended: Promise<void>
  stop(): Promise<void>
}

const STOP_WITHIN_MS = 10_000
const MAX_ERRORS = 10_000

/** Starts a program with only this environment. Aborting the signal kills it. */
export function start(
  file: string,
  args: readonly string[],
  options: { env: Record<string, string>; cwd: string; signal: AbortSignal }
): Running {
  options.signal.throwIfAborted()
  const { PATH = '' } = process.env
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: { PATH, ...options.env },
    // The service writes its log as in production; it is discarded.
    stdio: ['ignore', 'ignore', 'pipe'],
    signal: options.signal,
    killSignal: 'SIGKILL'
  })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk).slice(-MAX_ERRORS)
  })
  const ended = new Promise<void>((resolve, reject) => {
    child.once('close', () => resolve())
    child.once('error', reject)
  })
  ended.catch(() => {})
  return { pid: child.pid ?? 0, ended, errors: () => errors, stop: () => stop(child, ended) }
}

async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  // SIGINT, because at SIGTERM the service waits for load balancers.
  child.kill('SIGINT')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
  await ended.catch(() => {})
  clearTimeout(timer)
}
