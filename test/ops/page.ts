import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { blocksOf } from '../helpers/doc-blocks.ts'

const PAGE = join(import.meta.dirname, '../../docs/operations/high-availability.md')

/** The text of a file on the page about high availability; its first line there is a comment with its path. */
export async function fileOnPage(path: string): Promise<string> {
  const found = blocksOf(await readFile(PAGE, 'utf8')).filter(
    ({ text }) => /^[#;] (\S+)/.exec(text)?.[1] === path
  )
  if (found.length !== 1) throw new Error(`the page has ${found.length} blocks of ${path}`)
  return found[0]!.text
}
