import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { blocksOf } from '../helpers/doc-blocks.ts'

const page = join(import.meta.dirname, '../../docs/how-to/clients.md')

export interface Ran {
  code: number
  out: string
}

/** Runs a program for at most ten minutes. Returns its exit code and the output of both streams. */
export function runTool(
  program: string,
  args: string[],
  { cwd, env = {} }: { cwd?: string; env?: Record<string, string> } = {}
): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { cwd, env: { ...process.env, ...env }, timeout: 600_000, maxBuffer: 64 * 1024 * 1024 }
    execFile(program, args, options, (error, stdout, stderr) => {
      const late = error?.killed ? '\ntimed out' : ''
      const code = !error ? 0 : typeof error.code === 'number' ? error.code : 127
      resolve({ code, out: stdout + stderr + late })
    })
  })
}

/** Returns the commands under a heading of `docs/how-to/clients.md`, one per line. */
export async function documented(heading: string): Promise<string[]> {
  const blocks = blocksOf(await readFile(page, 'utf8'))
  const [block, ...more] = blocks.filter((block) => block.heading === heading)
  if (!block || more.length > 0) throw new Error(`docs/how-to/clients.md has no one block under ${heading}`)
  return block.text.trim().split('\n')
}
