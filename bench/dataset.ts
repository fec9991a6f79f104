import { randomBytes } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { auditIsSealed, type Postgres, TEMPLATE, withClient } from './postgres.ts'
import { ADMIN, type Dataset, type Sizes, seed } from './seed.ts'
import { startService } from './service.ts'

/** The file next to the template database. */
interface SavedDataset extends Sizes {
  version: number
  at: number
  rootKeys: string
  dataset: Dataset
}

/** Increase it when seeding changes. */
const VERSION = 1
/** Unused sessions expire after seven days. */
const MAX_AGE_MS = 6 * 24 * 60 * 60_000

/**
 * Returns the template database in `directory`, after seeding it through the service of `checkout` if it is
 * missing or outdated. Of two checkouts, pass the older one: the newer one can migrate a copy.
 */
export async function prepareTemplate(
  postgres: Postgres,
  { directory, checkout, sizes }: { directory: string; checkout: string; sizes: Sizes },
  signal: AbortSignal,
  log: (line: string) => void
): Promise<{ rootKeys: string; dataset: Dataset }> {
  const file = join(directory, 'bench.json')
  const saved = await read(file)
  const isCurrent =
    saved?.version === VERSION &&
    saved.owners === sizes.owners &&
    saved.each === sizes.each &&
    Date.now() - saved.at < MAX_AGE_MS
  if (
    isCurrent &&
    (await postgres.query('select from pg_database where datname = $1', [TEMPLATE])).length > 0
  ) {
    log(
      `Using the ${sizes.owners} x ${sizes.each} credentials seeded at ${new Date(saved.at).toISOString()}.`
    )
    return saved
  }
  await rm(file, { force: true })
  const began = performance.now()
  const rootKeys = `bench:${randomBytes(32).toString('base64')}`
  await postgres.create(TEMPLATE)
  // Safe, because an interrupted seeding starts again.
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
    dataset = await seed(service.origin, sizes, signal, (line) => log(`Seeding, ${since()}: ${line}`))
    await auditIsSealed(url, signal)
  } finally {
    await service.stop()
  }
  await withClient(url, (client) => client.query('vacuum analyze'))
  const seeded: SavedDataset = { version: VERSION, at: Date.now(), ...sizes, rootKeys, dataset }
  await writeFile(file, JSON.stringify(seeded), { mode: 0o600 })
  log(`Seeded ${sizes.owners} x ${sizes.each} credentials in ${since()}.`)
  return seeded
}

async function read(file: string): Promise<SavedDataset | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch {
    return undefined
  }
}
