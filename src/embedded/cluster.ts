import { chown, lstat, mkdtemp, open, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { shellWord } from '../terminal.ts'
import { type Location, type Notice, RECORD, recordLocation } from './directory.ts'
import { ignoreMissing, readOwned, removeTree } from './files.ts'
import { type Log, run } from './program.ts'

const NEW_PREFIX = 'postgres.new-'

interface Options {
  binaries: string
  /** The version of the programs, such as 18.4.0. */
  version: string
  user: string
  durable: boolean
  /** If false, throws if there is no cluster. */
  create: boolean
  log: Log
  notice: Notice
}

/**
 * Creates the cluster with a superuser `user`, if there is none and `create` is true. It has a temporary name
 * until it is complete, so that an interrupted initdb is never mistaken for a cluster.
 */
export async function ensureCluster(location: Location, options: Options): Promise<void> {
  const { home, cluster, runAs } = location
  for (const name of await readdir(home)) {
    // The initdb of a killed process may still write there. If removing it fails, the next start does.
    if (name.startsWith(NEW_PREFIX)) {
      await removeTree(join(home, name)).catch(() => {})
    }
  }
  if (!(await ignoreMissing(lstat(cluster)))) {
    if (!options.create) throw new Error(`there is no database in ${home}: start the service to create one`)
    await createCluster(location, options)
  }
  const major = (await readOwned(join(cluster, 'PG_VERSION'), runAs))?.trim()
  if (major === undefined) throw new Error(`${cluster} is not a PostgreSQL database: move it elsewhere`)
  const own = options.version.split('.')[0]!
  if (major !== own) throw new Error(otherMajor(location, major, own))
  await recordLocation(location)
}

function otherMajor({ directory, home, cluster }: Location, major: string, own: string): string {
  const moveAway = [`mv ${shellWord(cluster)} ${shellWord(`${cluster}-${major}`)}`]
  if (home !== directory) moveAway.push(`rm ${shellWord(join(directory, RECORD))}`)
  return (
    `the database in ${cluster} is for PostgreSQL ${major}, but this version of Latchkey has ${own}: run ` +
    `"latchkey backup FILE" with your earlier version, then "${moveAway.join(' && ')}" and ` +
    '"latchkey restore FILE" with this version'
  )
}

async function createCluster({ home, cluster, runAs }: Location, options: Options): Promise<void> {
  const { binaries, user, durable, log, notice } = options
  notice(`Creating the database in ${home}; this takes a few seconds.`)
  const fresh = await mkdtemp(join(home, NEW_PREFIX))
  if (runAs) await chown(fresh, runAs.uid, runAs.gid)
  const args = ['-D', fresh, `--username=${user}`, '--encoding=UTF8', '--no-instructions']
  args.push(
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--auth-local=trust',
    '--auth-host=reject'
  )
  if (!durable) args.push('--no-sync')
  await log.mark()
  const code = await run(join(binaries, 'bin/initdb'), args, { runAs, log, detached: false }).ended
  if (code !== 0)
    throw new Error(
      `PostgreSQL could not create the database (initdb exited with ${code}): ${await log.tail()}`
    )
  await rename(fresh, cluster)
  if (durable) await syncDirectory(home)
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  await directory.sync().finally(() => directory.close())
}
