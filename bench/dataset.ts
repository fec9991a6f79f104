import { randomBytes } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { auditIsSealed, type Postgres, TEMPLATE, withClient } from './postgres.ts'
import { ADMIN, type Dataset, type Sizes, seed } from './seed.ts'
import { startService } from './service.ts'

/** What is on disk beside the template database. */
interface Kept extends Sizes {
  version: number
  at: number
  rootKeys: string
  dataset: Dataset
}

/** To be raised when seeding changes. */
const VERSION = 1
/** Sessions that are not used end after seven days. */
const LONGEST_MS = 6 * 24 * 60 * 60_000

/**
 * The template database, as it was seeded earlier into `directory` or as it is seeded now through the service
 * of `checkout`: the older of two, because the newer one can migrate a copy and the older one cannot go back.
 */
export async function prepareTemplate(
  postgres: Postgres,
  { directory, checkout, sizes }: { directory: string; checkout: string; sizes: Sizes },
  signal: AbortSignal,
  tell: (line: string) => void
): Promise<{ rootKeys: string; dataset: Dataset }> {
  const file = join(directory, 'bench.json')
  const kept = await read(file)
  const isFit =
    kept?.version === VERSION &&
    kept.owners === sizes.owners &&
    kept.each === sizes.each &&
    Date.now() - kept.at < LONGEST_MS
  if (isFit && (await postgres.query('select from pg_database where datname = $1', [TEMPLATE])).length > 0) {
    tell(`Uses the ${sizes.owners} x ${sizes.each} credentials seeded at ${new Date(kept.at).toISOString()}.`)
    return kept
  }
  await rm(file, { force: true })
  const began = performance.now()
  const rootKeys = `bench:${randomBytes(32).toString('base64')}`
  await postgres.create(TEMPLATE)
  // Nobody misses a commit of a run of this that fails.
  await postgres.query(`alter database ${TEMPLATE} set synchronous_commit = off`)
  const url = postgres.urlOf(TEMPLATE)
  const env = {
    DATABASE_URL: url,
    LATCHKEY_ROOT_KEYS: rootKeys,
    LATCHKEY_ADMIN_EMAIL: ADMIN.email,
    LATCHKEY_ADMIN_PASSWORD: ADMIN.password,
    LOG_LEVEL: 'warn'
  }
  const service = await startService(checkout, env, signal)
  const since = () => `${Math.round((performance.now() - began) / 1_000)} s`
  let dataset: Dataset
  try {
    dataset = await seed(service.origin, sizes, signal, (line) => tell(`Seeding, ${since()}: ${line}`))
    await auditIsSealed(url, signal)
  } finally {
    await service.stop()
  }
  await withClient(url, (client) => client.query('vacuum analyze'))
  const made: Kept = { version: VERSION, at: Date.now(), ...sizes, rootKeys, dataset }
  await writeFile(file, JSON.stringify(made), { mode: 0o600 })
  tell(`Seeded ${sizes.owners} x ${sizes.each} credentials in ${since()}.`)
  return made
}

async function read(file: string): Promise<Kept | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch {
    return undefined
  }
}
