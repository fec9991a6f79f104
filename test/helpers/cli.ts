import { spawn } from 'node:child_process'
import { join } from 'node:path'

const cli = join(import.meta.dirname, '../../src/cli.ts')

export interface Ran {
  code: number | null
  out: string
  err: string
}

/**
 * Runs `latchkey` with these arguments and only these variables. `input` is its standard input. If `reads` is
 * false, the reader of its standard output ends at once.
 */
export function runCli(
  variables: Record<string, string>,
  words: readonly string[],
  { cwd, input = '', reads = true }: { cwd?: string; input?: string | Uint8Array; reads?: boolean } = {}
): Promise<Ran> {
  return new Promise((resolve) => {
    const { PATH = '', TMPDIR = '' } = process.env
    const env = { PATH, ...(TMPDIR && { TMPDIR }), ...variables }
    const child = spawn(process.execPath, [cli, ...words], { env, cwd, stdio: 'pipe' })
    let [out, err] = ['', '']
    if (reads) child.stdout.on('data', (chunk) => (out += chunk))
    else child.stdout.destroy()
    child.stderr.on('data', (chunk) => (err += chunk))
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    child.on('close', (code) => resolve({ code, out, err }))
  })
}
