import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startTestApp } from './helpers/app.ts'

const root = join(import.meta.dirname, '..')

t.test('the walk in the README runs as it is printed', async (t) => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const block = /<!-- walk:[^>]*-->\n```sh\n([\s\S]*?)```/.exec(readme)?.[1]
  t.ok(block, 'it is there')
  const service = await startTestApp(t)
  const { email, password } = service.admin.person
  const { code, out } = await run(`set -euo pipefail\n${block}`, t.testdir(), {
    BASE: service.origin,
    EMAIL: email,
    PASSWORD: password
  })
  t.equal(code, 0, out)
  t.match(out, '"keyValue":"s3cret"', 'the secret is revealed')
  t.equal(out.split('s3cret').length, 2, 'and nowhere else')
  t.match(out, '"revision":2')
  t.match(out, '{"success":true}')
})

t.test('every variable that the configuration reads is in its table, and no other', async (t) => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const source = await readFile(join(root, 'src/config.ts'), 'utf8')
  const inTable = [...readme.matchAll(/^\| `([A-Z_]+)` \|/gm)].map((match) => match[1]).sort()
  const inCode = new Set(
    [...source.matchAll(/(?:read(?:<[^(]*>)?\(\s*'|env\['|env\.)([A-Z_]{4,})/g)].map((match) => match[1])
  )
  t.same(inTable, [...inCode].sort())
})

function run(
  script: string,
  cwd: string,
  env: Record<string, string>
): Promise<{ code: number | null; out: string }> {
  return new Promise((resolve) => {
    const child = spawn('bash', ['-c', script], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    let out = ''
    child.stdout.on('data', (chunk) => (out += chunk))
    child.stderr.on('data', (chunk) => (out += chunk))
    child.on('close', (code) => resolve({ code, out }))
  })
}
