import { type ChildProcess, spawn } from 'node:child_process'

/** A program that was started, and will be stopped. */
export interface Running {
  readonly pid: number
  /** The end of what it has printed on standard error. */
  errors(): string
  /** Resolves when it has ended; rejects if it could not be started. */
  ended: Promise<void>
  stop(): Promise<void>
}

const STOP_WITHIN_MS = 10_000
const MAX_ERRORS = 10_000

/** Starts a program with this environment and no other. Aborting the signal kills it. */
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
    // Logs are written as in production, and read by nobody.
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
  // The service waits for load balancers at SIGTERM, and not at SIGINT.
  child.kill('SIGINT')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
  await ended.catch(() => {})
  clearTimeout(timer)
}
