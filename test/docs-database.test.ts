import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'

const read = (path: string) => readFile(join(import.meta.dirname, '..', path), 'utf8')

t.test('docs/operations/database.md lists every reason for a 503', async (t) => {
  const source = await read('src/db/errors.ts')
  const reasons = [...source.matchAll(/^const [A-Z_]+ = '([A-Z][^']+)'$/gm)].map(([, reason]) => reason!)
  t.ok(reasons.length >= 10, reasons.join())
  const [, table = ''] = /\n\| `detail` begins with .*\n.*\n((?:\|.*\n)+)/.exec(
    await read('docs/operations/database.md')
  )!
  const listed = [...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, text]) => text!)
  t.same(listed.sort(), reasons.sort())
})
