import { access, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import { anchorOf } from './helpers/doc-blocks.ts'

const root = join(import.meta.dirname, '..')
const folder = await readdir(join(root, 'docs'), { recursive: true })
const pages = folder.filter((path) => path.endsWith('.md')).map((path) => join('docs', path))
const read = (page: string) => readFile(join(root, page), 'utf8')

t.test('links lead to existing pages and headings', async (t) => {
  let count = 0
  for (const page of [...pages, 'README.md']) {
    for (const [, target, anchor] of (await read(page)).matchAll(
      /\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g
    )) {
      const to = target ? join(dirname(page), target) : page
      const there = await access(join(root, to)).then(
        () => true,
        () => false
      )
      count += 1
      if (!there || (anchor && !(await anchorsOf(to)).includes(anchor)))
        t.fail(`${page}: ${to}${anchor ? `#${anchor}` : ''}`)
    }
  }
  t.ok(count > 50, `${count} links`)
})

t.test('the index links to every page, and the README to the index', async (t) => {
  const index = await read('docs/README.md')
  for (const page of pages) {
    const path = page.slice('docs/'.length)
    if (path !== 'README.md' && !path.startsWith('decisions/')) t.match(index, `(${path})`, path)
  }
  t.match(index, '(decisions/README.md)', 'decisions')
  t.match(await read('README.md'), '(docs/README.md)', 'the index')
})

async function anchorsOf(page: string): Promise<string[]> {
  return [...(await read(page)).matchAll(/^#+ +(.*)$/gm)].map(([, heading]) => anchorOf(heading!))
}
