import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'

const root = join(import.meta.dirname, '..')
const LONGEST = 110
const FILES = ['{src,migrations,test,bench,scripts,packages}/**/*.{ts,js}', '{.,docs/**,packages/*}/*.md']

/** Files with long lines: commands for copying, and frozen migrations. Do not add files. */
const ALLOWED = [
  'docs/how-to/clients.md',
  'docs/tutorials/getting-started.md',
  'migrations/20261121T020000_audit_events.ts',
  'migrations/20261122T000000_credential_totals.ts',
  'migrations/20261122T010000_values_by_data_key.ts',
  'migrations/20261122T020000_audit_events_guard.ts',
  'migrations/20261122T030000_list_marks.ts',
  'migrations/20261122T040000_partial_indexes.ts',
  'migrations/20261122T050000_audit_chain.ts'
]

/** Returns the numbers of lines that are too long, except tables and fenced output in Markdown. */
function longLines(path: string, text: string): number[] {
  let fence: string | undefined
  return text.split('\n').flatMap((line, index) => {
    if (path.endsWith('.md')) {
      const [, language] = /^\s*```(\S*)/.exec(line) ?? []
      if (language !== undefined) fence = fence === undefined ? language : undefined
      const isOutput = fence !== undefined && ['', 'json', 'text'].includes(fence)
      if (isOutput || /^\s*\|/.test(line)) return []
    }
    return isTooLong(line) ? [index + 1] : []
  })
}

/** Lines of one word, such as a regular expression or a key, cannot be wrapped. URLs do not count. */
function isTooLong(line: string): boolean {
  return [...line.replace(/https?:\/\/[^\s)>]+/g, '')].length > LONGEST && /\S\s+\S/.test(line)
}

t.test(`no line is longer than ${LONGEST} columns`, async (t) => {
  let files = 0
  const found: string[] = []
  for await (const path of glob(FILES, { cwd: root })) {
    files++
    const numbers = longLines(path, await readFile(join(root, path), 'utf8'))
    if (numbers.length === 0) continue
    found.push(path)
    if (!ALLOWED.includes(path)) t.fail(`${path}: wrap line ${numbers.join(', ')}`)
  }
  t.ok(files > 200, `${files} files`)
  t.same(
    ALLOWED.filter((path) => !found.includes(path)),
    [],
    'these no longer have long lines: remove them from ALLOWED'
  )
})

t.test('what counts as a long line', async (t) => {
  const words = 'word '.repeat(30)
  t.same(longLines('a.ts', `short\n// ${words}\n`), [2])
  t.same(longLines('a.ts', `  /${'x'.repeat(200)}/\n`), [], 'one word')
  t.same(longLines('a.ts', `${'é'.repeat(54)} ${'€'.repeat(55)}`), [], 'characters, not bytes')
  t.same(longLines('a.ts', `${'x'.repeat(54)} ${'x'.repeat(56)}`), [1])
  t.same(longLines('a.md', `See https://example.org/${'x'.repeat(200)} for more\n| ${words} |`), [])
  t.same(
    longLines('a.md', `\`\`\`sh\n${words}\n\`\`\`\n${words}\n\`\`\`json\n${words}\n\`\`\`\n${words}`),
    [2, 4, 8]
  )
})
