import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, run } from './process.ts'
import type { World } from './world.ts'

export interface PgbenchFigures {
  connections: number
  perSecond: number
}

const INSTALLED = '/usr/lib/postgresql'
/** pgbench takes 128 at the most. */
const SCRIPTS = 64

/**
 * How many selects by id Postgres answers to its own load generator, prepared, at each number of connections: what is
 * above no service on this machine. Undefined where there is no pgbench.
 */
export async function pgbench(
  world: World,
  plan: { seconds: number; connections: readonly number[] }
): Promise<PgbenchFigures[] | undefined> {
  const program = await findPgbench()
  if (!program) return undefined
  // One id for each script, since a uuid cannot be drawn in a script; pgbench draws the script.
  const files = await Promise.all(
    world.seeded.large.ids.slice(0, SCRIPTS).map(async (id, index) => {
      const file = join(world.directory, `select-${index}.sql`)
      await writeFile(
        file,
        `select id, owner_id, type_id, name, description, revision, created_at, updated_at from credentials where id = '${id}';\n`
      )
      return file
    })
  )
  const figures: PgbenchFigures[] = []
  for (const connections of plan.connections) {
    const output = await run(
      program,
      [
        ...['-n', '-M', 'prepared', '-j', '1', '-c', String(connections), '-T', String(plan.seconds)],
        ...files.flatMap((file) => ['-f', file]),
        world.postgres.url
      ],
      (plan.seconds + 30) * 1000,
      world.signal
    )
    const tps = /^tps = ([\d.]+)/m.exec(output)?.[1]
    if (!tps) throw new Error(`pgbench gave no result:\n${output}`)
    figures.push({ connections, perSecond: Number(tps) })
  }
  return figures
}

async function findPgbench(): Promise<string | undefined> {
  const versions = await readdir(INSTALLED).catch(() => [])
  const installed = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((v) => join(INSTALLED, v, 'bin/pgbench'))
  for (const program of ['pgbench', ...installed]) if (await exists(program)) return program
  return undefined
}
