import { access, chmod, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { startTestApp } from './helpers/app.ts'
import { type Block, blocksOf } from './helpers/doc-blocks.ts'
import { followBlocks } from './helpers/doc-page.ts'
import { eventually } from './helpers/eventually.ts'
import { freePort } from './helpers/free-port.ts'
import { LIGHTNING_TOKEN, startLightning } from './helpers/lightning.ts'
import { Shell } from './helpers/shell.ts'

// A service for each page.
t.setTimeout(300_000)

const root = join(import.meta.dirname, '..')

/** Pages whose blocks are not run here, and why. */
const ELSEWHERE: Record<string, string> = {
  'docs/how-to/clients.md': 'test/sdk runs them, where there are the languages and their registries',
  'docs/operations/audit-log.md': 'test/audit/verify.test.ts runs its commands',
  'docs/operations/database.md': 'test/db connects by such URLs, and test/ops/pgbouncer.test.ts by a pooler',
  'docs/operations/backups.md': 'test/docs-backups.test.ts runs them, and test/ops/pitr.test.ts its files',
  'docs/operations/docker.md':
    'they need Docker; test/compose.test.ts holds the Compose file, and test/ops the image',
  'docs/operations/kubernetes.md': 'they need a cluster; test/deploy/kubernetes.test.ts holds the files',
  'docs/operations/reverse-proxy.md':
    'test/ops/proxies.test.ts runs its files, where the proxies are installed',
  'docs/operations/monitoring.md': 'test/ops/monitoring.test.ts runs them, where Prometheus is installed',
  'docs/operations/users.md': 'test/docs-users.test.ts runs them, on a database of its own',
  'docs/operations/database-roles.md': 'test/docs-roles.test.ts runs them, with roles of its own',
  'docs/operations/upgrades.md': 'test/docs-upgrades.test.ts runs them, with migrations of its own',
  'docs/operations/migrations.md': 'test/docs-upgrades.test.ts runs them, with migrations of its own',
  'docs/operations/upgrade-notes.md': 'they need Docker, and a version before 1.0.0',
  'docs/operations/growing.md': 'it makes clusters of the machine; test/ops/cells.test.ts runs its files',
  'docs/operations/high-availability.md': 'test/ops runs programs with its files, where these are installed',
  'docs/how-to/external-secrets.md': 'test/how-to runs its YAML, where there are Go and its registry',
  'docs/operations/keys.md': 'test/docs-keys.test.ts runs them, with restarts, other databases and a clock'
}

type Env = Record<string, string>

/** What a page asks of the reader besides a service and somebody who may sign in. */
const NEEDS: Record<string, (t: Test) => Promise<Env>> = {
  'docs/how-to/migrating-from-lightning.md': async (t) => ({
    LIGHTNING: await startLightning(t),
    LIGHTNING_TOKEN
  })
}

const folder = await readdir(join(root, 'docs'), { recursive: true })
const pages = folder
  .filter((path) => path.endsWith('.md'))
  .map((path) => join('docs', path))
  .sort()
const read = (page: string) => readFile(join(root, page), 'utf8')

t.test('every page does what it says', async (t) => {
  t.ok(pages.length > 20, `${pages.length} pages`)
  for (const page of pages) {
    const blocks = blocksOf(await read(page))
    if (blocks.length === 0 || page in ELSEWHERE) continue
    await t.test(page, async (t) => {
      const [directory, cwd] = await newDirectories(t)
      if (page === 'docs/tutorials/getting-started.md') return followFromTheStart(t, blocks, directory, cwd)
      const service = await startTestApp(t)
      const { email, password } = service.admin.person
      const env = { LATCHKEY: service.origin, EMAIL: email, PASSWORD: password, ...(await NEEDS[page]?.(t)) }
      await followBlocks(t, blocks, new Shell(t, directory, cwd, env))
    })
  }
})

t.test('what is run elsewhere, or needs more, is there', async (t) => {
  for (const page of [...Object.keys(ELSEWHERE), ...Object.keys(NEEDS)]) t.ok(pages.includes(page), page)
})

t.test('links lead to a page that is there, and to a heading of it', async (t) => {
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
      if (!there || (anchor && !(await anchorsOf(to)).includes(anchor))) t.fail(`${page}: ${to}#${anchor}`)
    }
  }
  t.ok(count > 50, `${count} links`)
})

t.test('the index leads to every page, and the README to the index', async (t) => {
  const index = await read('docs/README.md')
  for (const page of pages) {
    const path = page.slice('docs/'.length)
    if (path !== 'README.md' && !path.startsWith('decisions/')) t.match(index, `(${path})`, path)
  }
  t.match(index, '(decisions/README.md)', 'decisions')
  t.match(await read('README.md'), '(docs/README.md)', 'the index')
})

/** The first block is the terminal in which the service runs; the rest is typed into another one. */
async function followFromTheStart(t: Test, [first, ...rest]: Block[], directory: string, cwd: string) {
  const { scripts } = JSON.parse(await read('package.json'))
  const port = await freePort()
  const terminal = new Shell(t, directory, cwd, { PORT: String(port) })
  // What `git clone` and `npm ci` make is what the test runs in.
  const git = `git() { mkdir latchkey && ln -s '${join(root, 'src')}' latchkey/src; }\n`
  const npm = `npm() { case "$1" in ci) ;; start) exec ${scripts.start} ;; *) return 1 ;; esac; }\n`
  await terminal.run(`${git}${npm}{ ${first!.text}} > service.log 2>&1 &`)
  t.match(first!.text, /\nnpm ci && npm start\n$/)
  const other = join(directory, 'other')
  await mkdir(other)
  const env = { LATCHKEY: `http://127.0.0.1:${port}` }
  const clone = join(cwd, 'latchkey')
  await eventually(
    () =>
      access(clone).then(
        () => true,
        () => false
      ),
    'the repository is cloned'
  )
  await followBlocks(t, rest, new Shell(t, other, clone, env))
  if (!t.passing()) t.comment(await readFile(join(cwd, 'service.log'), 'utf8'))
}

/** One for what the tests write, and one in it to work in. */
async function newDirectories(t: Test): Promise<[string, string]> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-docs-'))
  // As root, an embedded Postgres runs as somebody else, who has to come through.
  await chmod(directory, 0o755)
  t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  const cwd = join(directory, 'here')
  await mkdir(cwd, { mode: 0o755 })
  return [directory, cwd]
}

async function anchorsOf(page: string): Promise<string[]> {
  return [...(await read(page)).matchAll(/^#+ +(.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-')
  )
}
