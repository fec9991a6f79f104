/** A fenced block on a page. */
export interface Block {
  /** The word after the fence; empty if there is none. */
  language: string
  text: string
  /** The line number of the opening fence, from 1. */
  line: number
  /** The heading above the block. */
  heading: string
}

/** Returns the anchor of a heading: what its links have after `#`. */
export const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

/** Returns the fenced blocks of a Markdown page, in order. Throws if a block is not closed. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = []
  let heading = ''
  let open: (Block & { fence: string; indent: RegExp; lines: string[] }) | undefined
  markdown.split('\n').forEach((line, index) => {
    const [, indent = '', fence, language = ''] = /^( *)(`{3,}|~{3,}) *(\S*)/.exec(line) ?? []
    if (open) {
      if (fence?.startsWith(open.fence) && language === '') {
        const { fence: _, indent: __, lines, ...block } = open
        blocks.push({ ...block, text: lines.map((line) => `${line}\n`).join('') })
        open = undefined
      } else open.lines.push(line.replace(open.indent, ''))
    } else if (fence) {
      // In a list, the block has the indentation of the item.
      const ofItem = new RegExp(`^ {0,${indent.length}}`)
      open = { fence, indent: ofItem, language, lines: [], line: index + 1, heading, text: '' }
    } else heading = /^#+ +(.*)$/.exec(line)?.[1] ?? heading
  })
  if (open) throw new Error(`the block of line ${open.line} has no end`)
  return blocks
}
