// Runs the commands of every page in sequence on one service, in two orders. DOCS_SEED determines the orders.
import { createHash, randomInt } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { anchorOf, type Block, blocksOf } from './helpers/doc-blocks.ts'
import { followBlocks } from './helpers/doc-page.ts'
import { type DocService, startAsWritten, startsService } from './helpers/doc-service.ts'
import { difference, thingsOf } from './helpers/leftovers.ts'
import { LIGHTNING_TOKEN, startLightning } from './helpers/lightning.ts'

t.setTimeout(600_000)

const root = join(import.meta.dirname, '..')
const TUTORIAL = 'docs/tutorials/getting-started.md'

/** Pages and sections whose blocks are not run here, with the reason. */
const ELSEWHERE: Record<string, string> = {
  'docs/how-to/try-with-npx.md': 'test/service-package.test.ts runs them, from the package',
  'docs/tutorials/swagger-ui.md': 'test/browser/tutorial.test.ts follows it if Chromium is installed',
  'docs/how-to/clients.md': 'test/sdk runs them if the languages and their registries are available',
  'docs/how-to/external-secrets.md': 'test/how-to runs its YAML if Go and its registry are available',
  'docs/operations/audit-log.md#verify-one-file': 'a new log has no archive; see test/audit/archive.test.ts',
  'docs/operations/audit-log.md#verify-a-directory':
    'a new log has no archive; see test/audit/archive.test.ts',
  'docs/operations/audit-log.md#partitions': 'it needs psql and a Postgres of your own',
  'docs/operations/backups.md#use-docker-compose': 'they need Docker',
  'docs/operations/backups.md#schedule-backups': 'cron runs it',
  'docs/operations/backups.md#restore': 'test/docs-backups.test.ts runs it: the service has to stop',
  'docs/operations/backups.md#move-between-the-embedded-database-and-your-own':
    'test/docs-backups.test.ts runs it: the service has to stop',
  'docs/operations/backups.md#another-major-version-of-the-embedded-postgres': 'a line that a start prints',
  'docs/operations/backups.md#archive-the-wal': 'test/ops/pitr.test.ts runs them',
  'docs/operations/backups.md#recover': 'test/ops/pitr.test.ts runs them',
  'docs/operations/database.md': 'test/db connects by such URLs, and test/ops/pgbouncer.test.ts by a pooler',
  'docs/operations/database-roles.md': 'test/docs-roles.test.ts runs them with its own roles',
  'docs/operations/docker.md':
    'they need Docker; test/compose.test.ts checks the Compose file, and test/ops the image',
  'docs/operations/growing.md':
    'it creates Postgres clusters on the machine; test/ops/cells.test.ts runs its files',
  'docs/operations/high-availability.md': 'test/ops runs programs with its files if they are installed',
  'docs/operations/keys.md': 'test/docs-keys.test.ts runs them, with restarts, other databases and a clock',
  'docs/operations/kubernetes.md': 'they need a cluster; test/deploy/kubernetes.test.ts checks the files',
  'docs/operations/migrations.md': 'test/docs-upgrades.test.ts runs them with its own migrations',
  'docs/operations/monitoring.md': 'test/ops/monitoring.test.ts runs them if Prometheus is installed',
  'docs/operations/reverse-proxy.md': 'test/ops/proxies.test.ts runs its files if the proxies are installed',
  'docs/operations/troubleshooting.md#names-that-a-page-left-behind':
    'test/readme.test.ts runs it, after half the tutorial',
  'docs/operations/upgrade-notes.md': 'they need Docker and a version before 1.0.0',
  'docs/operations/upgrades.md': 'test/docs-upgrades.test.ts runs them with its own migrations',
  'sdk/typescript/README.md':
    'test/sdk/typescript-package.test.ts runs its programs twice, with the package installed'
}

type Env = Record<string, string>

/** Variables that a page requires in addition to those of the service and its administrator. */
const NEEDS: Record<string, (t: Test) => Promise<Env>> = {
  'docs/how-to/migrating-from-lightning.md': async (t) => ({
    LIGHTNING: await startLightning(t),
    LIGHTNING_TOKEN
  })
}

interface Page {
  name: string
  headings: string[]
  blocks: Block[]
}

async function readPage(name: string): Promise<Page> {
  const text = await readFile(join(root, name), 'utf8')
  const headings = [...text.matchAll(/^#+ +(.*)$/gm)].map(([, heading]) => heading!)
  return { name, headings, blocks: blocksOf(text) }
}

const folder = await readdir(join(root, 'docs'), { recursive: true })
const names = folder.filter((path) => path.endsWith('.md')).map((path) => join('docs', path))
const pages = await Promise.all(['README.md', 'sdk/typescript/README.md', ...names].map(readPage))
const placesOf = ({ name, headings }: Page) => [name, ...headings.map((one) => `${name}#${anchorOf(one)}`)]

/** Returns the blocks that this test runs. */
const blocksHere = ({ name, blocks }: Page) =>
  blocks.filter(
    (block) =>
      !(name in ELSEWHERE) &&
      !(`${name}#${anchorOf(block.heading)}` in ELSEWHERE) &&
      !/^(git clone|npm ci)\b/.test(block.text) &&
      !startsService(block)
  )

/** Returns the items in an order that depends only on their names and the seed. */
function shuffled<Item extends { name: string }>(items: readonly Item[], seed: string): Item[] {
  const place = ({ name }: Item) => createHash('sha256').update(`${seed} ${name}`).digest('hex')
  return items.toSorted((one, other) => (place(one) < place(other) ? -1 : 1))
}

t.test('the exceptions name existing pages and sections', async (t) => {
  const places = pages.filter(({ blocks }) => blocks.length > 0).flatMap(placesOf)
  for (const place of [...Object.keys(ELSEWHERE), ...Object.keys(NEEDS)]) t.ok(places.includes(place), place)
})

t.test('the commands of all pages work on one service, in any order, and leave nothing', async (t) => {
  const seed = process.env.DOCS_SEED ?? String(randomInt(1_000_000))
  t.comment(`DOCS_SEED=${seed}`)
  const here = pages.map((page) => ({ ...page, blocks: blocksHere(page) }))
  const run = here.filter(({ blocks }) => blocks.length > 0)
  t.ok(run.length > 10, `${run.length} pages`)
  const tutorial = pages.find(({ name }) => name === TUTORIAL)!
  const service = await startAsWritten(t, tutorial.blocks)
  await t.test('leftovers are detected', (t) => seesLeftovers(t, service))
  let before = await thingsOf(service.clone)
  for (const round of ['first', 'second']) {
    for (const { name, blocks } of shuffled(run, `${seed} ${round}`)) {
      await t.test(`${name}, the ${round} time`, async (t) => {
        const shell = await service.newShell(t, await NEEDS[name]?.(t))
        // The test uses a free port.
        const port = (text: string) =>
          text.replaceAll(/http:\/\/(127\.0\.0\.1|localhost):8080/g, service.origin)
        const written = blocks.map((block) => ({ ...block, text: port(block.text) }))
        await followBlocks(t, written, shell)
        await shell.end()
        const after = await thingsOf(service.clone)
        if (t.passing())
          t.same(difference(before, after), { left: [], gone: [] }, 'nothing is left or missing')
        before = after
      })
    }
  }
  if (!t.passing()) t.comment(await service.log())
})

async function seesLeftovers(t: Test, service: DocService) {
  const before = await thingsOf(service.clone)
  const shell = await service.newShell(t)
  const call = 'curl -sS --fail-with-body --cookie jar.txt --cookie-jar jar.txt --json'
  const left = await shell.run(`
    ${call} "{\\"email\\": \\"$EMAIL\\", \\"password\\": \\"$PASSWORD\\"}" "$LATCHKEY/api/v1/session"
    ID=$(${call} '{"name": "Left behind"}' "$LATCHKEY/api/v1/projects" | grep -o '"id":"[^"]*' | cut -c 7-)
    mkdir made; touch made/file`)
  t.same([left.code, left.failed], [0, []], left.err)
  t.same(difference(before, await thingsOf(service.clone)), {
    left: [
      'sessions',
      'projects: Left behind',
      'project_members',
      'file jar.txt',
      'file made',
      'file made/file'
    ],
    gone: []
  })
  const removed = await shell.run(`
    for path in "projects/$ID" session; do ${call} '' --request DELETE "$LATCHKEY/api/v1/$path"; done
    rm -r jar.txt made`)
  t.same([removed.code, removed.failed], [0, []], removed.err)
  t.same(difference(before, await thingsOf(service.clone)), { left: [], gone: [] })
}
