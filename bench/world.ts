import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareTemplate } from './dataset.ts'
import type { Options } from './options.ts'
import { openPostgres, type Postgres, TEMPLATE } from './postgres.ts'
import type { Dataset } from './seed.ts'
import { openReference, openService, type Side } from './side.ts'

const root = join(import.meta.dirname, '..')

export interface World {
  options: Options
  postgres: Postgres
  dataset: Dataset
  service: Side
  /** The service of the other checkout, or the reference server. */
  other: Side
  signal: AbortSignal
}

/** Prepares the server, the data and both sides, calls `work`, and takes everything down in any case. */
export async function withWorld(
  options: Options,
  { signal, tell }: { signal: AbortSignal; tell: (line: string) => void },
  work: (world: World) => Promise<void>
): Promise<void> {
  const closing: (() => Promise<unknown>)[] = []
  try {
    const directory = options.data ?? (await mkdtemp(join(tmpdir(), 'latchkey-bench-')))
    if (options.data) await mkdir(directory, { recursive: true })
    else closing.push(() => rm(directory, { recursive: true, force: true }))
    const postgres = await openPostgres(process.env.BENCH_DATABASE_URL, directory)
    closing.push(postgres.close)
    const { against, sizes } = options
    const seeding = { directory, checkout: against ?? root, sizes }
    const { rootKeys, dataset } = await prepareTemplate(postgres, seeding, signal, tell)
    if (!options.data) closing.push(() => postgres.drop(TEMPLATE))
    const service = await openService('this', root, rootKeys, postgres, signal)
    closing.push(service.close)
    const other = against
      ? await openService('other', against, rootKeys, postgres, signal)
      : await openReference(postgres, signal)
    closing.push(other.close)
    await work({ options, postgres, dataset, service, other, signal })
  } finally {
    for (const close of closing.reverse()) await close()
  }
}
