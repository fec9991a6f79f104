import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/** A program that was started, and will be stopped. */
export interface Running {
  readonly pid: number
  /** Everything that it has printed so far, on both streams. */
  output(): string
  /** The first match of the pattern in what it prints; throws when it ends first, or after `withinMs`. */
  printed(pattern: RegExp, withinMs: number): Promise<RegExpExecArray>
  /** Its exit code, null when a signal ended it. */
  ended: Promise<number | null>
  stop(): Promise<void>
}

const STOP_WITHIN_MS = 10_000
const MAX_OUTPUT = 1_000_000

/** Starts a program with this environment and no other. Aborting the signal kills it. */
export function start(
  file: string,
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string; signal: AbortSignal }
): Running {
  options.signal.throwIfAborted()
  const { PATH = '' } = process.env
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: { PATH, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: options.signal,
    killSignal: 'SIGKILL'
  })
  let output = ''
  const waiting = new Set<() => void>()
  const take = (chunk: Buffer) => {
    output = (output + chunk).slice(-MAX_OUTPUT)
    for (const check of waiting) check()
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('close', (code) => resolve(code))
    child.once('error', reject)
  })
  ended.catch(() => {})
  return {
    pid: child.pid ?? 0,
    ended,
    output: () => output,
    printed: (pattern, withinMs) =>
      new Promise((resolve, reject) => {
        const refuse = (why: string) => reject(new Error(`${file} ${why}:\n${output}`))
        const timer = setTimeout(() => refuse('said nothing of what was waited for'), withinMs)
        const check = () => {
          const match = pattern.exec(output)
          if (!match) return
          clearTimeout(timer)
          waiting.delete(check)
          resolve(match)
        }
        waiting.add(check)
        check()
        ended.then(
          () => {
            clearTimeout(timer)
            refuse('ended')
          },
          (error) => {
            clearTimeout(timer)
            reject(error)
          }
        )
      }),
    stop: () => stop(child, ended)
  }
}

async function stop(child: ChildProcess, ended: Promise<number | null>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  // The service answers SIGTERM after a while, for load balancers to see; SIGINT is at once.
  child.kill('SIGINT')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
  await ended.catch(() => {})
  clearTimeout(timer)
}

/** Runs a program to its end and gives what it printed; throws when it fails or takes longer than `withinMs`. */
export async function run(
  file: string,
  args: readonly string[],
  withinMs: number,
  signal: AbortSignal
): Promise<string> {
  const both = AbortSignal.any([signal, AbortSignal.timeout(withinMs)])
  const running = start(file, args, { signal: both })
  const code = await running.ended
  if (code !== 0) throw new Error(`${file} ended with ${code}:\n${running.output()}`)
  return running.output()
}

/** Whether there is such a program to run. */
export async function exists(file: string): Promise<boolean> {
  const child = spawn(file, ['--version'], { stdio: 'ignore' })
  return Promise.race([once(child, 'spawn').then(() => true), once(child, 'error').then(() => false)]).catch(
    () => false
  )
}
