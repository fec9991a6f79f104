// Runs tap against one Postgres server for all test files: TEST_DATABASE_URL, or an embedded one. Without
// arguments it runs the default tests; with paths, those files. `--long`, `--fuzz`, `--fair`, `--browser`,
// `--sdk` and `--ops` run the slow tests, generated requests, attacks during the requests of an honest
// caller, the tests in a browser, the clients in other languages, and the service in operation: failovers,
// poolers, upgrades. `--coverage` before any of these reports the coverage as well.
import { spawn, spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbedded } from '../src/embedded/postgres.ts'
import { prepareTemplate } from './helpers/database.ts'

/** Slow tests: together with the others, they would take over three minutes on two cores. */
const LONG = [
  'test/audit/archive-again.test.ts',
  'test/audit/archive.test.ts',
  'test/audit/cost.test.ts',
  'test/audit/partitions.test.ts',
  'test/audit/sealing.test.ts',
  'test/audit/verify.test.ts',
  'test/backup/age.test.ts',
  'test/backup/archived.test.ts',
  'test/backup/backup.test.ts',
  'test/backup/move.test.ts',
  'test/backup/older.test.ts',
  'test/backup/refusals.test.ts',
  'test/backup/scale.test.ts',
  'test/backup/settings.test.ts',
  'test/backup/verify.test.ts',
  'test/batching.test.ts',
  'test/breaking.test.ts',
  'test/cli.test.ts',
  'test/commands/embedded.test.ts',
  'test/commands/users.test.ts',
  'test/db/connections.test.ts',
  'test/db/folded-names.test.ts',
  'test/db/locales.test.ts',
  'test/db/migrate.test.ts',
  'test/db/online-migrations.test.ts',
  'test/db/read-only.test.ts',
  'test/db/several-hosts.test.ts',
  'test/db/standby.test.ts',
  'test/docker.test.ts',
  'test/docs-backups.test.ts',
  'test/docs-keys.test.ts',
  'test/docs-upgrades.test.ts',
  'test/docs.test.ts',
  'test/embedded/postgres.test.ts',
  'test/embedded/root-keys.test.ts',
  'test/ended-access.test.ts',
  'test/features/credentials/long-lists.test.ts',
  'test/features/credentials/public-reports.test.ts',
  'test/features/credentials/scale.test.ts',
  'test/features/keys/destroy.test.ts',
  'test/features/keys/interleavings.test.ts',
  'test/features/keys/kill.test.ts',
  'test/features/keys/reencryption.test.ts',
  'test/features/keys/retry-on-key-change.test.ts',
  'test/features/keys/rotation.test.ts',
  'test/first-administrator.test.ts',
  'test/golden/golden.test.ts',
  'test/http/faults.test.ts',
  'test/leak.test.ts',
  'test/npm-start.test.ts',
  'test/paging.test.ts',
  'test/permissions.test.ts',
  'test/root-keys/aws-kms.test.ts',
  'test/root-keys/move.test.ts',
  'test/root-keys/service.test.ts',
  'test/root-keys/vault-transit.test.ts',
  'test/sdk/typescript-package.test.ts',
  'test/sdk/typescript.test.ts',
  'test/start-faults.test.ts',
  'test/start.test.ts'
]
/** Different in each run, and as long as `FUZZ_SECONDS`. */
const FUZZ = 'test/fuzz/fuzz.test.ts'
/** Measures times, so nothing else may run at the same time. */
const FAIR = 'test/fair/fair.test.ts'
/** Need Chromium, which npm does not install. */
const BROWSER = ['test/browser/swagger-ui.test.ts', 'test/browser/tutorial.test.ts']
/** Need other languages and package registries. */
const SDK = [
  'test/sdk/generators.test.ts',
  'test/sdk/oasdiff.test.ts',
  'test/how-to/external-secrets.test.ts',
  'test/service-package.test.ts'
]
/** Need both cores, and programs that npm does not install, such as Patroni and PgBouncer. */
const OPS = globSync('test/ops/*.test.ts', { cwd: join(import.meta.dirname, '..') }).sort()

/** A report on the terminal and in .tap/report/lcov.info. Low coverage does not fail the run. */
const COVERAGE = [
  '--no-disable-coverage',
  '--allow-incomplete-coverage',
  '--allow-empty-coverage',
  '--coverage-report=text',
  '--coverage-report=lcovonly'
]

function chosenFiles([first, ...others]: string[]): string[] {
  if (first === undefined) {
    return [...LONG, FUZZ, FAIR, ...BROWSER, ...SDK, ...OPS].map((file) => `--exclude=${file}`)
  }
  if (first === '--coverage') return [...COVERAGE, ...chosenFiles(others)]
  if (first === '--long') return ['--timeout=300', ...LONG]
  // It stops by itself, after `FUZZ_SECONDS`.
  if (first === '--fuzz') return ['--timeout=0', FUZZ]
  if (first === '--fair') return ['--timeout=900', FAIR]
  if (first === '--browser') return ['--timeout=600', ...BROWSER]
  if (first === '--sdk') return ['--timeout=0', ...SDK]
  if (first === '--ops') return ['--timeout=600', '--jobs=1', ...OPS]
  return [first, ...others]
}

/**
 * Builds tap's test class with the plugins in .taprc. tap does so by itself, but runs its first tests with
 * the class that npm installed, which compiles every file a second time.
 */
async function buildTap(): Promise<void> {
  const built = join(import.meta.dirname, '../node_modules/@tapjs/test/test-built/dist/esm/index.js')
  const text = await readFile(built, 'utf8').catch(() => '')
  if (text.includes('@tapjs/typescript')) spawnSync('tap', ['build'], { stdio: 'ignore' })
}

// Every test file imports the whole service, which is compiled only once with the cache. V8's coverage of
// cached code is not exact.
const compileCache = process.argv.includes('--coverage')
  ? { NODE_DISABLE_COMPILE_CACHE: '1' }
  : { NODE_COMPILE_CACHE: join(import.meta.dirname, '../node_modules/.cache/compiled') }
await buildTap()
const directory = await mkdtemp(join(tmpdir(), 'latchkey-test-'))
let stopServer = async () => {}
let code = 1
try {
  let url = process.env.TEST_DATABASE_URL
  if (!url) {
    const server = await startEmbedded({ directory, durable: false, maxConnections: 300 })
    stopServer = server.stop
    const { host, port, user, database } = server.connection
    url = `postgresql://${user}@/${database}?host=${encodeURIComponent(host)}&port=${port}`
  }
  await prepareTemplate(url)
  code = await new Promise<number>((resolve, reject) => {
    const tap = spawn('tap', chosenFiles(process.argv.slice(2)), {
      stdio: 'inherit',
      env: { ...process.env, ...compileCache, TEST_DATABASE_URL: url }
    })
    tap.on('error', reject)
    tap.on('exit', (status) => resolve(status ?? 1))
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => tap.kill(signal))
  })
} finally {
  await stopServer()
  await rm(directory, { recursive: true, force: true })
}
process.exit(code)
