import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'

const main = join(import.meta.dirname, '../../src/main.js')

export interface Running {
  child: ChildProcess
  /** Everything printed so far, on both streams. */
  output(): string
  /** Resolves when the text has been printed. Rejects if the process exits first, or after a minute. */
  printed(text: string | RegExp): Promise<RegExpExecArray>
  exited: Promise<number | null>
}

/**
 * Starts `src/main.js`, or another script, as a separate process with only these environment variables, PATH,
 * TMPDIR and PORT; terminated when the test ends.
 */
export function startProcess(
  t: Test,
  cwd: string,
  env: Record<string, string>,
  args: readonly string[] = [main]
): Running {
  const { PATH = '', TMPDIR = '' } = process.env
  const child = spawn(process.execPath, args, {
    cwd,
    env: { PATH, ...(TMPDIR && { TMPDIR }), PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  const waiting = new Set<() => void>()
  const take = (chunk: Buffer) => {
    output += chunk
    for (const check of waiting) check()
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const exited = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
  t.teardown(async () => {
    child.kill('SIGTERM')
    await exited
  })
  return {
    child,
    exited,
    output: () => output,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const pattern =
          typeof text === 'string' ? new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')) : text
        const timer = setTimeout(() => reject(new Error(`not printed: ${text}\n${output}`)), 60_000)
        const check = () => {
          const match = pattern.exec(output)
          if (!match) return
          clearTimeout(timer)
          waiting.delete(check)
          resolve(match)
        }
        waiting.add(check)
        check()
        void exited.then(() => reject(new Error(`ended before it printed ${text}\n${output}`)))
      })
  }
}
