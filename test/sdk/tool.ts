import { execFile } from 'node:child_process'
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { blocksOf } from '../helpers/doc-blocks.ts'

const root = join(import.meta.dirname, '../..')

export interface Ran {
  code: number
  out: string
}

/** Runs a program to its end, five minutes at the most, and gives what it printed on both streams. */
export function runTool(
  program: string,
  args: string[],
  { cwd, env = {} }: { cwd?: string; env?: Record<string, string> } = {}
): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { cwd, env: { ...process.env, ...env }, timeout: 300_000, maxBuffer: 16 * 1024 * 1024 }
    execFile(program, args, options, (error, stdout, stderr) => {
      const late = error?.killed ? 'timed out\n' : ''
      const code = !error ? 0 : typeof error.code === 'number' ? error.code : 127
      resolve({ code, out: stdout + stderr + late })
    })
  })
}

/**
 * The commands under this heading of `docs/clients.md`, one each; the document that they read is put into
 * `cwd`.
 */
export async function documented(heading: string, cwd: string): Promise<string[]> {
  const blocks = blocksOf(await readFile(join(root, 'docs/clients.md'), 'utf8'))
  await copyFile(join(root, 'openapi.yaml'), join(cwd, 'openapi.yaml'))
  const [block, ...more] = blocks.filter((block) => block.heading === heading)
  if (!block || more.length > 0) throw new Error(`docs/clients.md has no one block under ${heading}`)
  return block.text.trim().split('\n')
}
