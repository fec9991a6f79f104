import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Callers, signInAll } from './callers.ts'
import { type Case, casesOf, type ReferenceName, referencesOf } from './cases.ts'
import { findGenerator, type Generator, type Load } from './load.ts'
import { openPostgres, type Postgres } from './postgres.ts'
import { type Seeded, seed } from './seed.ts'
import { type Server, startReference, startService } from './server.ts'

/** All that is measured, and what measures it. */
export interface World {
  readonly directory: string
  readonly signal: AbortSignal
  readonly generator: Generator
  readonly postgres: Postgres
  readonly seeded: Seeded
  readonly reference: Server
  service: Server
  callers: Callers
  /** Starts the service in the place of the one that runs. */
  restart(): Promise<void>
  cases(): Case[]
  references(): Record<ReferenceName, Load>
}

export interface WorldOptions {
  databaseUrl: string | undefined
  sizes: { small: number; large: number }
  signal: AbortSignal
  tell: (line: string) => void
}

/** Gives `work` a world, and takes everything down again, whatever happened. */
export async function inWorld(options: WorldOptions, work: (world: World) => Promise<void>): Promise<void> {
  const { signal, tell } = options
  const closing: (() => Promise<void>)[] = []
  try {
    const directory = await mkdtemp(join(tmpdir(), 'latchkey-bench-'))
    closing.push(() => rm(directory, { recursive: true, force: true }))
    const postgres = await openPostgres(options.databaseUrl, directory)
    closing.push(postgres.close)
    signal.throwIfAborted()
    const began = performance.now()
    const seeded = await seed(postgres, options.sizes, signal)
    signal.throwIfAborted()
    tell(
      `Seeded ${options.sizes.small} and ${options.sizes.large} credentials in ${seconds(began)} s; Postgres ${postgres.version}`
    )
    const reference = await startReference(postgres.url, directory, signal)
    closing.push(reference.stop)
    const database = { url: postgres.url, rootKeys: seeded.rootKeys }
    const service = await startService(database, directory, signal)
    closing.push(() => world.service.stop())
    const world: World = {
      directory,
      signal,
      generator: await findGenerator(directory),
      postgres,
      seeded,
      reference,
      service,
      callers: await signInAll(service.origin, seeded),
      async restart() {
        await world.service.stop()
        world.service = await startService(database, directory, signal)
      },
      cases: () => casesOf(world.service.origin, seeded, world.callers),
      references: () => referencesOf(reference.origin, seeded, world.callers)
    }
    await work(world)
  } finally {
    for (const close of closing.reverse()) await close()
  }
}

const seconds = (began: number) => ((performance.now() - began) / 1000).toFixed(1)
