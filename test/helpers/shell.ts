import { type ChildProcess, spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'

export interface Ran {
  /** The exit code of the last command, or of the shell if it exited. */
  code: number
  out: string
  err: string
  /** Every command whose failure was not handled, with its line. */
  failed: string[]
}

/**
 * One bash that runs scripts one after the other, as if a reader typed them: variables, functions and
 * background jobs persist. Programs that are still running are stopped when the test ends.
 */
export class Shell {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #ended: Promise<number>
  readonly #directory: string
  #count = 0

  /** `directory` is for the scripts and their output. The scripts run in `cwd`. */
  constructor(t: Test, directory: string, cwd: string, env: Record<string, string>) {
    this.#directory = directory
    const { PATH = '', TMPDIR = '', NODE_COMPILE_CACHE = '' } = process.env
    this.#child = spawn('bash', ['--noprofile', '--norc'], {
      cwd,
      env: { PATH, ...(TMPDIR && { TMPDIR }), ...(NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE }), ...env },
      stdio: ['pipe', 'pipe', 'inherit']
    })
    this.#ended = new Promise((resolve) => this.#child.on('close', (code) => resolve(code ?? 1)))
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
    // Writing to a shell that has exited is an error, which `run` detects by its end.
    this.#child.stdin!.on('error', () => {})
    this.#child.stdin!.write(`set -uE -o pipefail
trap 'trap - ERR; kill $(jobs -p) 2> /dev/null; wait' EXIT
`)
    t.teardown(() => this.end())
  }

  async run(script: string): Promise<Ran> {
    const path = join(this.#directory, `block-${++this.#count}`)
    await writeFile(`${path}.sh`, script)
    await writeFile(`${path}.failed`, '')
    this.#child.stdin!.write(`trap 'echo "$LINENO: $BASH_COMMAND" >> "${path}.failed"' ERR
. "${path}.sh" < /dev/null > "${path}.out" 2> "${path}.err"
echo $?
`)
    const { value } = await this.#lines.next()
    const code = value === undefined ? await this.#ended : Number(value)
    const [out, err, failed] = await Promise.all(
      ['out', 'err', 'failed'].map((kind) => readFile(`${path}.${kind}`, 'utf8'))
    )
    return { code, out: out!, err: err!, failed: failed!.split('\n').filter(Boolean) }
  }

  /** Returns the current directory of the shell. */
  async directory(): Promise<string> {
    return (await this.run('pwd')).out.trimEnd()
  }

  async end(): Promise<void> {
    this.#child.stdin!.end()
    await this.#ended
  }
}
