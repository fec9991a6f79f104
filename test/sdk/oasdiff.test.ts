import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { breakingChanges, type Document } from '../helpers/breaking.ts'
import { EDITS } from './oasdiff-edits.ts'
import { runTool } from './tool.ts'

t.setTimeout(600_000)

const VERSION = 'v1.37.0'
const root = join(import.meta.dirname, '../..')
const bin = join(root, 'node_modules/.cache/oasdiff', VERSION)

/** Installs oasdiff if it is missing. Returns the reason if that fails. */
async function missing(): Promise<string | undefined> {
  await mkdir(bin, { recursive: true })
  if ((await runTool(join(bin, 'oasdiff'), ['--version'])).code === 0) return undefined
  const go = await runTool('go', ['version'])
  if (go.code !== 0) return `no Go: ${go.out.trim()}`
  const install = ['install', `github.com/oasdiff/oasdiff@${VERSION}`]
  const { code, out } = await runTool('go', install, { env: { GOBIN: bin } })
  return code === 0 ? undefined : `oasdiff cannot be installed: ${out.trim()}`
}

t.test('our check of breaking changes agrees with oasdiff, except for documented reasons', async (t) => {
  t.ok(EDITS.length >= 20, `${EDITS.length} edits`)
  const before: Document = parse(await readFile(join(root, 'openapi.yaml'), 'utf8'))
  const cwd = t.testdir({ 'before.json': JSON.stringify(before) })
  const skip = await missing()
  const oasdiff = async (name: string) => {
    const options = ['--format', 'json', '--allow-external-refs=false']
    const { code, out } = await runTool(join(bin, 'oasdiff'), ['breaking', 'before.json', name, ...options], {
      cwd
    })
    if (code !== 0) throw new Error(out)
    return (out.trim() === '' ? [] : JSON.parse(out)) as { id: string; level: number }[]
  }
  if (skip) t.pass('oasdiff compares the edits', { skip })
  else t.same(await oasdiff('before.json'), [], 'oasdiff reads the document')
  for (const [index, { name, edit, ours, oasdiff: theirs, reason }] of EDITS.entries()) {
    const after = structuredClone(before)
    edit(after)
    t.notSame(after, before, `${name} is an edit`)
    const found = breakingChanges(before, after)
    t.equal(found.length > 0, ours, `ours: ${name}`, { found: found.slice(0, 5) })
    t.equal(ours !== theirs, reason !== undefined, `a reason is documented if the checks differ: ${name}`)
    if (skip) continue
    await writeFile(join(cwd, `${index}.json`), JSON.stringify(after))
    const other = await oasdiff(`${index}.json`)
    t.equal(other.length > 0, theirs, `oasdiff: ${name}`, { other: other.slice(0, 5) })
  }
})
