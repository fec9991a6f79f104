import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { blocksOf } from '../helpers/doc-blocks.ts'

const PAGES = join(import.meta.dirname, '../../docs/operations')

/** Returns the block of the page whose first line is a comment with this name. */
export async function fileOnPage(name: string, page = 'high-availability.md'): Promise<string> {
  const blocks = blocksOf(await readFile(join(PAGES, page), 'utf8'))
  const found = blocks.filter(({ text }) => [`# ${name}`, `; ${name}`].includes(text.split('\n')[0]!))
  if (found.length !== 1) throw new Error(`${page} has ${found.length} blocks of ${name}`)
  return found[0]!.text
}
